"""Writes records in groups while the chunk goes on, and repairs what a late writer may have done."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from sqlalchemy.exc import DBAPIError

from worker.core.backoff import full_jitter
from worker.store.engine import Database, is_passing
from worker.store.records import Record, Worker, record
from worker.store.repairs import repair

GROUP = 100
PAUSE = 0.25
PATIENCE = 6  # tries, about 20 s: past that the leases end and the jobs are rescued, reading first
LONGEST_PAUSE = timedelta(seconds=5)


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
            await writing
            await self._write()

    async def _write_groups(self) -> None:
        while not self._ended:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), PAUSE)
            self._full.clear()
            await self._write()

    async def _write(self) -> None:
        group, self._pending = self._pending, []
        if not group:
            return
        for tries in range(PATIENCE):
            try:
                late = await asyncio.to_thread(self._write_group, group)
            except DBAPIError as error:
                if tries + 1 == PATIENCE or not is_passing(error):
                    raise
                await asyncio.sleep(full_jitter(tries + 1, self._uniform, most=LONGEST_PAUSE).total_seconds())
            else:
                self.written += len(group) - late
                return

    def _write_group(self, group: list[Record]) -> int:
        with self._database.write() as session:
            late = record(session, group, self._worker)
            repair(session, late)
        return len(late)
