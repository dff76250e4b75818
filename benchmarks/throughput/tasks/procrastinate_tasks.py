"""procrastinate on PostgreSQL: one job an update, by coroutines; no broker."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from procrastinate import App, PsycopgConnector

from benchmarks.throughput.place import Place
from benchmarks.throughput.sending import AsyncSender
from benchmarks.throughput.updates import Update

PAGE, AT_ONCE = 1_000, 50
app = App(connector=PsycopgConnector(conninfo=Place.from_environment().database))
_here: dict[str, AsyncSender] = {}
_opening = asyncio.Lock()


@app.task(name="send")
async def send(given: dict[str, Any]) -> None:
    await (await _sender()).send(given)


async def _sender() -> AsyncSender:
    async with _opening:
        if "sender" not in _here:
            sender = AsyncSender(Place.from_environment())
            await sender.open()
            _here["sender"] = sender
    return _here["sender"]


_producer = asyncio.Runner()


def prepare() -> None:
    async def prepared() -> None:
        await app.open_async()
        await app.schema_manager.apply_schema_async()

    _producer.run(prepared())


def hand_in(updates: Sequence[Update]) -> None:
    _producer.run(_hand_in(updates))


async def _hand_in(updates: Sequence[Update]) -> None:
    for start in range(0, len(updates), PAGE):
        await send.batch_defer_async(*({"given": asdict(update)} for update in updates[start : start + PAGE]))
