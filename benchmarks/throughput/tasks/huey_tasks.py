"""huey on Redis: one task an update, by its processes; a task that is lost with its process stays lost."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from huey import RedisHuey

from benchmarks.throughput.place import READY, Place
from benchmarks.throughput.sending import Sender
from benchmarks.throughput.updates import Update

huey = RedisHuey("plain", url=Place.from_environment().broker, results=False)


@huey.on_startup()
def _tell() -> None:
    print(READY, flush=True)


@cache
def sender() -> Sender:
    return Sender(Place.from_environment())


@huey.task()
def send(given: dict[str, Any]) -> None:
    sender().send(given)


def hand_in(updates: Sequence[Update]) -> None:
    for update in updates:
        send(asdict(update))
