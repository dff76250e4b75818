"""Writes records in groups while the chunk goes on, and repairs what a late writer may have done."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from worker.core.backoff import full_jitter
from worker.store.engine import Database, is_passing
from worker.store.records import Record, Worker, record
from worker.store.repairs import repair
from worker.telemetry import instruments

T = TypeVar("T")

GROUP = 200
PAUSE = 0.25
PATIENCE = 9  # tries, 20 s on average: past that the leases end and the jobs are rescued, reading first
LONGEST_PAUSE = timedelta(seconds=5)


async def patiently(transaction: Callable[[], T], uniform: Callable[[], float]) -> T:
    """Run a transaction in a thread, and again where that may help: the database may be restarting."""
    for tries in range(1, PATIENCE):
        try:
            return await asyncio.to_thread(transaction)
        except DBAPIError as error:
            if not is_passing(error):
                raise
            instruments.transaction_retried()
        await asyncio.sleep(full_jitter(tries, uniform, most=LONGEST_PAUSE).total_seconds())
    return await asyncio.to_thread(transaction)


class Recorder:
    """Collects records of one chunk; ``written`` counts those that are in the database."""

    def __init__(self, database: Database, worker: Worker, uniform: Callable[[], float]) -> None:
        self._database = database
        self._worker = worker
        self._uniform = uniform
        self._pending: list[Record] = []
        self._full = asyncio.Event()
        self._ended = False
        self.written = 0

    def add(self, one: Record) -> None:
        self._pending.append(one)
        if len(self._pending) >= GROUP:
            self._full.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write in the background while the block runs, and the rest at its end, even where it failed."""
        writing = asyncio.create_task(self._write_groups())
        try:
            yield
        finally:
            self._ended = True
            self._full.set()
            try:
                await writing
            finally:
                await self._write()

    async def _write_groups(self) -> None:
        while not self._ended:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), PAUSE)
            self._full.clear()
            await self._write()

    async def _write(self) -> None:
        group, self._pending = self._pending, []
        if group:
            late = await patiently(lambda: self._write_group(group), self._uniform)
            self.written += len(group) - len(late)
            instruments.recorded(self._worker.remote, group, late)

    def _write_group(self, group: list[Record]) -> list[Record]:
        with self._database.write() as session:
            late = record(session, group, self._worker)
            repair(session, late)
        return late
