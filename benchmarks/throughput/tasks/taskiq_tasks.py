"""taskiq on a Redis stream, which acknowledges: one message an update, by coroutines."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import RedisStreamBroker

from benchmarks.throughput.place import READY, Place
from benchmarks.throughput.sending import AsyncSender
from benchmarks.throughput.updates import Update

AT_ONCE = 50
broker = RedisStreamBroker(url=Place.from_environment().broker)
_here: dict[str, AsyncSender] = {}


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _open(_: TaskiqState) -> None:
    _here["sender"] = AsyncSender(Place.from_environment())
    await _here["sender"].open()
    print(READY, flush=True)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def _close(_: TaskiqState) -> None:
    await _here["sender"].aclose()


@broker.task
async def send(given: dict[str, Any]) -> None:
    await _here["sender"].send(given)


_producer = asyncio.Runner()


def hand_in(updates: Sequence[Update]) -> None:
    _producer.run(_hand_in(updates))


async def _hand_in(updates: Sequence[Update]) -> None:
    for start in range(0, len(updates), AT_ONCE):
        await asyncio.gather(*(send.kiq(asdict(update)) for update in updates[start : start + AT_ONCE]))
