"""Dramatiq on Redis: one message an update, by its threads."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.throughput.place import Place
from benchmarks.throughput.sending import Sender
from benchmarks.throughput.updates import Update

dramatiq.set_broker(RedisBroker(url=Place.from_environment().broker))


@cache
def sender() -> Sender:
    return Sender(Place.from_environment())


@dramatiq.actor
def send(given: dict[str, Any]) -> None:
    sender().send(given)


def hand_in(updates: Sequence[Update]) -> None:
    for update in updates:
        send.send(asdict(update))
