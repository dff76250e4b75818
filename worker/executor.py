"""The walk of a chunk of jobs: claim, send concurrently under permits, decide, record, give back what is left."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from api_adapter.client import CoachingClient
from api_adapter.outcomes import Outcome
from api_adapter.rate_limit.permits import RateLimiter
from schemas.lanes import Lane
from worker.calls import Calls, Means
from worker.core.backoff import full_jitter
from worker.core.chunks import CHUNK_BUDGET
from worker.core.decisions import GiveBack, Retry
from worker.core.quarantine import Trip, Watch
from worker.core.retry_budget import RetryBudget
from worker.permit_pool import PermitPool
from worker.recorder import Recorder
from worker.store import quarantine
from worker.store.claims import Claimed, Lease, claim
from worker.store.engine import Database
from worker.store.records import Record, Worker

MOST_AT_ONCE = 50
LEASE_SLACK = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One message: jobs of one remote and lane. ``id`` owns their leases; a ``probe`` goes to a quarantined remote."""

    id: str
    remote: str
    lane: Lane
    job_ids: tuple[int, ...]
    probe: bool = False


@dataclass(slots=True)
class RemoteAccess:
    """One remote, as this process reaches it, and what the process has learned of it."""

    name: str
    client: CoachingClient
    limiter: RateLimiter
    max_in_flight: int
    request_timeout: timedelta
    trusts_keys: bool
    watch: Watch = field(default_factory=Watch)
    budget: RetryBudget = field(default_factory=RetryBudget)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a chunk came to, for its log line."""

    claimed: int
    recorded: int
    given_back: int
    tripped: str | None = None


@dataclass(frozen=True, slots=True)
class Executor:
    """Runs chunks, one at a time, on the worker process's event loop."""

    database: Database
    salt: str
    name: str
    now: Callable[[], datetime]
    uniform: Callable[[], float]

    async def run_chunk(self, chunk: Chunk, remote: RemoteAccess) -> Summary:
        claimed = await asyncio.to_thread(self._claim, chunk, remote)
        run = _Run(chunk, remote, deque(claimed), Recorder(self.database, Worker(remote.name, self.name), self.uniform))
        if claimed:
            await self._send(run)
        return await asyncio.to_thread(self._close, run, len(claimed))

    def _claim(self, chunk: Chunk, remote: RemoteAccess) -> list[Claimed]:
        lasts = CHUNK_BUDGET + remote.request_timeout + LEASE_SLACK
        with self.database.write() as session:
            if not chunk.probe and quarantine.find(session, remote.name):
                return []
            return claim(session, chunk.job_ids, Lease(chunk.id, lasts))

    async def _send(self, run: "_Run") -> None:
        remote = run.remote
        pool = PermitPool(remote.limiter, run.chunk.lane, self.uniform)
        async with run.recorder.running(), pool.running():
            means = Means(
                client=remote.client,
                permits=pool,
                deadline=asyncio.get_running_loop().time() + CHUNK_BUDGET.total_seconds(),
                salt=self.salt,
                trusts_keys=remote.trusts_keys,
                now=self.now,
                uniform=self.uniform,
            )
            async with asyncio.TaskGroup() as group:
                for _ in range(min(MOST_AT_ONCE, remote.max_in_flight, len(run.waiting))):
                    group.create_task(self._work(run, means))
            run.give_back_rest()

    async def _work(self, run: "_Run", means: Means) -> None:
        loop = asyncio.get_running_loop()
        while run.waiting and run.trip is None and loop.time() < means.deadline:
            job = run.waiting.popleft()
            if not run.may_try(job):
                run.recorder.add(Record(job, Retry(full_jitter(job.failures + 1, self.uniform), failure=False)))
                continue
            calls = Calls(job, means)
            record = await calls.run()
            run.observe(calls.outcomes)
            run.recorder.add(record)

    def _close(self, run: "_Run", claimed: int) -> Summary:
        if run.trip:
            with self.database.write() as session:
                quarantine.put_aside(session, run.remote.name, run.trip.reason)
        elif run.chunk.probe and run.answered:
            with self.database.write() as session:
                quarantine.release(session, run.remote.name)
        return Summary(claimed, run.recorder.written, run.given_back, run.trip.reason if run.trip else None)


@dataclass(slots=True)
class _Run:
    """A chunk under way."""

    chunk: Chunk
    remote: RemoteAccess
    waiting: deque[Claimed]
    recorder: Recorder
    trip: Trip | None = None
    answered: bool = False
    given_back: int = 0

    def may_try(self, job: Claimed) -> bool:
        """A first try earns; a retry is paid for, unless it probes."""
        if not job.attempts:
            self.remote.budget.first_try()
            return True
        return self.chunk.probe or self.remote.budget.may_retry()

    def observe(self, outcomes: Sequence[Outcome[Any]]) -> None:
        trip = self.remote.watch.observe(outcomes, probing=self.chunk.probe)
        self.answered = self.answered or (trip is None and bool(outcomes))
        self.trip = self.trip or trip

    def give_back_rest(self) -> None:
        self.given_back = len(self.waiting)
        while self.waiting:
            self.recorder.add(Record(self.waiting.popleft(), GiveBack()))
