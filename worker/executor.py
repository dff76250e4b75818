"""The walk of a chunk of jobs: claim, send concurrently under permits, decide, record, give back what is left."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from api_adapter.client import CoachingClient
from api_adapter.rate_limit.permits import RateLimiter
from schemas.ids import ROW_BITS, format_job_id
from schemas.lanes import Lane
from worker.calls import Calls, Means
from worker.chunk_time import ChunkTime
from worker.core.backoff import full_jitter
from worker.core.chunks import CHUNK_BUDGET, slice_size
from worker.core.decisions import GiveBack, Retry
from worker.core.quarantine import RUN_OF_FAILURES, Trip, Watch, is_answer
from worker.core.retry_budget import RetryBudget
from worker.log import get_logger, log_context
from worker.permit_pool import PermitPool
from worker.recorder import Recorder, patiently
from worker.store import quarantine
from worker.store.claims import Claimed, Lease, claim, rescue_own
from worker.store.dispatching import unpublish
from worker.store.engine import Database
from worker.store.gate import look
from worker.store.pauses import pause
from worker.store.records import Record, Worker
from worker.telemetry import instruments
from worker.tracing.spans import Kind, Span, span

MOST_AT_ONCE = 50
LEAST_PATIENCE = timedelta(seconds=3)
LONGEST_PAUSE = timedelta(seconds=30)  # what is full may be found free: limits are raised
LEASE_SLACK = timedelta(seconds=10)  # to write the records; a late one is repaired

_log = get_logger(__name__)


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
    """One remote, as this process reaches it, and what the process has learned of it.

    ``pace``: the jobs of its last chunk that ended, per second.
    ``trusts_keys``: it honours idempotency keys, and remembers each for ``key_memory``.
    ``patience`` is how long, past the chunk's time, a job that has begun may wait for its next permit.
    """

    name: str
    client: CoachingClient
    limiter: RateLimiter
    max_in_flight: int
    request_timeout: timedelta
    trusts_keys: bool
    key_memory: timedelta
    patience: timedelta = LEAST_PATIENCE
    watch: Watch = field(default_factory=Watch)
    budget: RetryBudget = field(default_factory=RetryBudget)
    pace: float = 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What a chunk came to, for its log line: ``tripped`` and ``released`` are true for who was first to say so."""

    claimed: int
    recorded: int
    given_back: int
    tripped: str | None = None
    released: bool = False


@dataclass(frozen=True, slots=True)
class Executor:
    """Runs chunks, one at a time, on the worker process's event loop."""

    database: Database
    salt: str
    name: str
    now: Callable[[], datetime]
    uniform: Callable[[], float]

    async def run_chunk(self, chunk: Chunk, remote: RemoteAccess) -> Summary:
        run = _Run(chunk, remote, Recorder(self.database, Worker(remote.name, self.name), self.uniform))
        while run.unclaimed and not run.waiting:
            await self._claim_some(run)
        if run.waiting:
            await self._send(run)
        return await patiently(lambda: self._close(run), self.uniform)

    async def _send(self, run: "_Run") -> None:
        pool = PermitPool(run.remote.limiter, run.chunk.lane, self.uniform)
        clock = asyncio.get_running_loop().time
        begun = clock()
        async with run.recorder.running(), pool.running():
            means = self._means(run, pool)
            async with asyncio.TaskGroup() as group:
                for _ in range(run.at_once):
                    group.create_task(self._work(run, means))
            run.give_back_rest()
            instruments.permits_taken(
                run.remote.name, run.chunk.lane, granted=pool.granted, refused=pool.refused, waited=pool.waited
            )
            run.remote.pace = (run.claimed - run.given_back) / (clock() - begun)
            wait = timedelta(seconds=pool.opens_at - clock())
            run.pause = min(wait, LONGEST_PAUSE) if wait > CHUNK_BUDGET and not run.chunk.probe else None

    def _means(self, run: "_Run", pool: PermitPool) -> Means:
        clock = asyncio.get_running_loop().time
        deadline = clock() + CHUNK_BUDGET.total_seconds()
        return Means(
            client=run.remote.client,
            permits=pool,
            time=ChunkTime(deadline, deadline + run.remote.patience.total_seconds(), clock),
            halted=lambda: run.trip is not None,
            salt=self.salt,
            trusts_keys=run.remote.trusts_keys,
            key_memory=run.remote.key_memory,
            probing=run.chunk.probe,
            now=lambda: self.now() - run.clock_ahead,
            uniform=self.uniform,
        )

    async def _work(self, run: "_Run", means: Means) -> None:
        while (job := await self._next(run, means)) is not None:
            if not run.may_try(job):
                run.recorder.add(Record(job, Retry(full_jitter(job.failures + 1, self.uniform), failure=False)))
                continue
            calls = Calls(job, means)
            try:
                with means.time.job(), self._observed(job, run.chunk) as one:
                    record = await calls.run()
                    one.tell(decision=type(record.decision).__name__)
            except Exception:  # noqa: BLE001 - a bug that one job meets must not cost its neighbours their requests
                _log.exception("job_broke", job=format_job_id(job.id), message="its lease ends, then it goes alone")
                continue
            finally:
                run.observe(job, calls)
            run.recorder.add(record)

    @contextmanager
    def _observed(self, job: Claimed, chunk: Chunk) -> Iterator[Span]:
        """In the job's trace, and found by its ids in each line that is logged meanwhile, by whomever."""
        ids: dict[str, str | int] = {"job": format_job_id(job.id), "batch": job.id >> ROW_BITS}
        with (
            log_context(**ids),
            span(
                "job", kind=Kind.CONSUMER, parent=job.traceparent, chunk=chunk.id, resource=job.resource, **ids
            ) as one,
        ):
            yield one

    async def _next(self, run: "_Run", means: Means) -> Claimed | None:
        """The next job; whoever finds them getting few goes for more, while the others work on."""
        while run.trip is None and not means.time.is_over and not means.permits.is_shut(means.time.begin_by):
            if run.runs_low and not run.claiming.locked():
                async with run.claiming:
                    await self._claim_some(run)
            elif run.waiting:
                return run.waiting.popleft()
            elif run.claiming.locked():
                async with run.claiming:
                    pass
            else:
                return None
        return None

    async def _claim_some(self, run: "_Run") -> None:
        """A few jobs at a time: a crash leaves few in doubt, and a chunk that is slow leaves the others to others."""
        some, run.unclaimed = run.unclaimed[: run.slice], run.unclaimed[run.slice :]
        run.take_in(await patiently(lambda: self._claim(run, some), self.uniform))

    def _claim(self, run: "_Run", ids: Sequence[int]) -> list[Claimed]:
        chunk, remote = run.chunk, run.remote
        lasts = CHUNK_BUDGET + remote.patience + remote.request_timeout + LEASE_SLACK
        with self.database.write() as session:
            if run.unsure:
                rescue_own(session, run.unsure, chunk.id)
            run.unsure = run.unsure or ids
            gate = look(session, remote.name, chunk.lane)  # after a wait for locks: a lease begins now
            run.clock_ahead = self.now() - gate.now
            if gate.shut and not chunk.probe:
                unpublish(session, ids)
                claimed = []
            else:
                claimed = claim(session, ids, Lease(chunk.id, lasts), gate.now)
        run.unsure = ()
        return claimed

    def _close(self, run: "_Run") -> Summary:
        name, tripped, released = run.remote.name, False, False
        if run.unclaimed or run.trip or run.pause or run.chunk.probe:
            with self.database.write() as session:
                unpublish(session, run.unclaimed)
                if run.pause:
                    pause(session, name, run.chunk.lane, run.pause)
                if run.trip:
                    tripped = quarantine.put_aside(session, name, run.trip.reason)
                elif run.chunk.probe and run.answered:
                    released = quarantine.release(session, name)
        reason = run.trip.reason if run.trip and tripped else None
        return Summary(run.claimed, run.recorder.written, run.given_back, reason, released)


@dataclass(slots=True)
class _Run:
    """A chunk under way. ``clock_ahead``: how far this machine's clock is ahead of the database's, which counts.

    ``unsure``: jobs that may run under our own lease and nobody works on. The message's first consumer has died, or the
    answer to a claim was lost with its connection.
    """

    chunk: Chunk
    remote: RemoteAccess
    recorder: Recorder
    unclaimed: tuple[int, ...] = ()
    unsure: Sequence[int] = ()
    waiting: deque[Claimed] = field(default_factory=deque)
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    trip: Trip | None = None
    pause: timedelta | None = None
    clock_ahead: timedelta = timedelta(0)
    answered: bool = False
    claimed: int = 0
    given_back: int = 0

    def __post_init__(self) -> None:
        self.unclaimed = self.unsure = self.chunk.job_ids

    @property
    def at_once(self) -> int:
        return min(MOST_AT_ONCE, self.remote.max_in_flight, len(self.chunk.job_ids))

    @property
    def slice(self) -> int:
        return slice_size(self.at_once, self.remote.pace)

    @property
    def runs_low(self) -> bool:
        return bool(self.unclaimed) and len(self.waiting) < max(self.at_once, self.slice // 2)

    def take_in(self, claimed: Sequence[Claimed]) -> None:
        self.claimed += len(claimed)
        self.waiting.extend(claimed)
        if claimed and not self.chunk.probe and self.remote.watch.failures >= RUN_OF_FAILURES:
            self.remote.watch = Watch()  # the quarantine that this run of failures led to has ended meanwhile

    def may_try(self, job: Claimed) -> bool:
        """A retry is paid for, unless it probes."""
        return not job.failures or self.chunk.probe or self.remote.budget.may_retry()

    def observe(self, job: Claimed, calls: Calls) -> None:
        if calls.tried and not job.attempts:
            self.remote.budget.first_try()
        trip = self.remote.watch.observe(calls.outcomes, probing=self.chunk.probe)
        self.answered = self.answered or is_answer(calls.outcomes)
        self.trip = self.trip or trip

    def give_back_rest(self) -> None:
        self.given_back = len(self.waiting)
        while self.waiting:
            self.recorder.add(Record(self.waiting.popleft(), GiveBack()))
