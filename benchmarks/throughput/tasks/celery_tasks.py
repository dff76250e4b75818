"""Plain Celery: one task an update, acknowledged once its outcome is kept."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from celery import Celery
from celery.signals import worker_ready

from benchmarks.throughput.place import READY, Place
from benchmarks.throughput.sending import Sender
from benchmarks.throughput.updates import Update

app = Celery("plain", broker=Place.from_environment().broker)
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_hijack_root_logger=False)


@worker_ready.connect
def _tell(**_: object) -> None:
    print(READY, flush=True)


@cache
def sender() -> Sender:
    return Sender(Place.from_environment())


@app.task
def send(given: dict[str, Any]) -> None:
    sender().send(given)


def hand_in(updates: Sequence[Update]) -> None:
    for update in updates:
        send.delay(asdict(update))
