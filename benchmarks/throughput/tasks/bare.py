"""No task queue at all: a loop of coroutines that sends and forgets. What is lost with it stays lost."""

import asyncio
from collections.abc import Iterator, Sequence

import httpx

from benchmarks.throughput.place import Place
from benchmarks.throughput.sending import check
from benchmarks.throughput.updates import Update

AT_ONCE = 50


class BareLoop:
    def __init__(self, transport: httpx.AsyncBaseTransport | None) -> None:
        self._runner = asyncio.Runner()
        self._http = httpx.AsyncClient(base_url=Place.from_environment().remote, transport=transport, timeout=20)

    def send(self, updates: Sequence[Update]) -> None:
        self._runner.run(self._send(updates))

    async def _send(self, updates: Sequence[Update]) -> None:
        waiting = iter(updates)
        await asyncio.gather(*(self._some(waiting) for _ in range(AT_ONCE)))

    async def _some(self, waiting: Iterator[Update]) -> None:
        for update in waiting:
            check(update, await self._http.patch(update.path()))
