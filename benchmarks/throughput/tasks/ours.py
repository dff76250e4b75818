"""coachsync, as a Python producer uses it."""

from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.throughput.updates import Update
from worker.configuration import settings
from worker.producer import enqueue_target_updates
from worker.runtime import Runtime
from worker.store import schema


def prepare() -> None:
    runtime = Runtime(settings.from_environment())
    schema.upgrade(runtime.database)
    runtime.close()


def hand_in(updates: Sequence[Update]) -> None:
    receipt = enqueue_target_updates((asdict(update) for update in updates), approve=True)
    assert receipt.accepted == len(updates), receipt
