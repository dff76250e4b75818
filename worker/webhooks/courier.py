"""Sends what one endpoint is to get: several at once, within its rate, in order where it asks for that.

A courier works for the process that owns the endpoint, while it does. What it has sent counts once it is recorded: this
process sends it no second time until then, and after a crash the next owner does.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from worker.core.delivery import Observed, Reply, observe
from worker.log import get_logger
from worker.recorder import patiently
from worker.store.deliveries import Due, Recorded, Sender, Sent, due, record
from worker.store.endpoints import Owned
from worker.store.engine import Database
from worker.store.outbox import ENABLED
from worker.telemetry import instruments
from worker.tracing.spans import HEADER, Kind, headers, span
from worker.webhooks import signing
from worker.webhooks.post import TIMEOUT, Poster

PAGE = 200
MOST_UNRECORDED = 500  # the database is away: no more is sent until it is back

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. No request begins that ``lease`` might not outlast: it takes ``request`` at most, and ``slack``.

    ``looks_every`` for endpoints, ``idle`` between two looks for what is due to one; ``group``: how long answers are
    gathered to be recorded together; ``leaves_after`` with nothing due, or to wait: others may have the endpoint;
    ``stops_within``: what has no answer by then is sent again by the next owner.
    """

    lease: float = 20.0
    renewed_every: float = 1.0
    looks_every: float = 0.5
    request: float = TIMEOUT
    slack: float = 2.0
    group: float = 0.1
    idle: float = 0.25
    leaves_after: float = 5.0
    stops_within: float = 5.0


@dataclass(frozen=True, slots=True)
class Means:
    """What all couriers of a process share. ``now`` is the wall clock, ``sender`` who we are."""

    database: Database
    poster: Poster
    sender: Sender
    now: Callable[[], datetime]
    timing: Timing = Timing()


@dataclass(slots=True)
class Pace:
    """At most ``rate`` in any second; None is no limit. Times are a monotonic clock's seconds."""

    rate: int | None
    sent: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Seconds until the next may go."""
        while self.sent and self.sent[0] <= now - 1:
            self.sent.popleft()
        if self.rate is None or len(self.sent) < self.rate:
            return 0.0
        return self.sent[-self.rate] + 1 - now

    def note(self, now: float) -> None:
        if self.rate is not None:
            self.sent.append(now)


class Courier:
    """One endpoint's. ``renewed`` keeps it informed of its lease and of what people change."""

    def __init__(self, means: Means, owned: Owned, secrets: Sequence[str], lease_ends: float) -> None:
        self._means = means
        self._timing = means.timing
        self._waiting: deque[Due] = deque()
        self._busy: set[int] = set()
        self._results: list[Sent] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._stir = asyncio.Event()
        self._pace = Pace(None)
        self._clock = asyncio.get_running_loop().time
        self._last_work = self._clock()
        self.leaving = False
        # From here on its answers tell, by our clock: a row may be older than the last of them.
        self._health = replace(owned.health, held_until=means.now() + owned.held)
        self._opens_at = self._clock() + owned.held.total_seconds()
        self.fence = owned.endpoint.fence
        self.renewed(owned, secrets, lease_ends)

    def renewed(self, owned: Owned, secrets: Sequence[str], lease_ends: float) -> None:
        """The endpoint as it stands now; ours until ``lease_ends`` on the monotonic clock."""
        endpoint = owned.endpoint
        self.endpoint = endpoint
        self._secrets = secrets
        self._lease_ends = lease_ends
        self._pace.rate = endpoint.rate_limit
        if endpoint.state != ENABLED:
            self.leave()

    def leave(self) -> None:
        """Begin no more; what is under way comes to its end."""
        self.leaving = True
        self._stir.set()

    async def run(self) -> None:
        """Until there is nothing to do for a while, or it is told to leave. All that was answered is recorded."""
        recording = asyncio.create_task(self._record_groups())
        recording.add_done_callback(lambda _: self.leave())  # what cannot be recorded is not sent
        try:
            while not self.leaving:
                await self._step()
        finally:
            self.leaving = True
            await self._end_sending()
            self._stir.set()
            await recording

    async def _step(self) -> None:
        now = self._clock()
        if self._waiting or self._busy:
            self._last_work = now
        wait = max(self._opens_at - now, 0.0)
        if max(wait, now - self._last_work) > self._timing.leaves_after:
            self.leaving = not self._busy
            await self._rest(self._timing.idle)
        elif wait or self._lease_ends - now < self._timing.request + self._timing.slack:
            await self._rest(wait or self._timing.idle)
        elif not await self._has_work():
            await self._rest(self._timing.idle)
        elif len(self._sending) >= self._room or len(self._busy) >= self._room + MOST_UNRECORDED:
            await self._rest(1.0)
        elif pause := self._pace.wait(self._clock()):
            await asyncio.sleep(pause)
        else:
            self._begin(self._waiting.popleft())

    @property
    def _room(self) -> int:
        return 1 if self._health.is_open else self.endpoint.concurrency

    async def _has_work(self) -> bool:
        if not self._waiting:
            busy = set(self._busy)  # what is recorded while we look may be seen as it was before
            some = await patiently(self._look, self._means.sender.uniform)
            self._waiting.extend(one for one in some if one.id not in busy)
        return bool(self._waiting)

    def _look(self) -> list[Due]:
        with self._means.database.read() as session:
            return due(session, self.endpoint, PAGE + len(self._busy))

    def _begin(self, one: Due) -> None:
        self._busy.add(one.id)
        self._pace.note(self._clock())
        task = asyncio.create_task(self._send(one))
        self._sending.add(task)
        task.add_done_callback(self._sent)

    async def _send(self, one: Due) -> None:
        started_at, begun = self._means.now(), self._clock()
        body = one.body.encode()
        signed = signing.headers(self._secrets, one.message_id, int(started_at.timestamp()), body)
        with span("webhook", kind=Kind.CLIENT, parent=one.traceparent, endpoint=self.endpoint.id) as sending:
            reply = await self._posted({**signed, **(headers() or _passed_on(one))}, body, started_at)
            sending.tell(message=one.message_id, status=reply.status, error=reply.error)
        self._results.append(Sent(one, started_at, (self._clock() - begun) * 1000, reply))
        self._foresee(observe(self._health, reply, self._means.now()))

    async def _posted(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Reply:
        try:
            return await self._means.poster.post(self.endpoint.url, headers, body, now)
        except Exception as error:  # noqa: BLE001 - a bug is an attempt like another: its delivery must not be stuck
            _log.exception("delivery_broke", endpoint=self.endpoint.id)
            return Reply(error=f"not sent: {error!r}"[:300])

    def _foresee(self, observed: Observed) -> None:
        """What its record will say: nothing more begins that this answer forbids."""
        self._health = observed.health
        if observed.health.held_until:
            held = observed.health.held_until - self._means.now()
            self._opens_at = max(self._opens_at, self._clock() + held.total_seconds())
        if observed.disable:
            self.leave()

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._stir.set()

    async def _end_sending(self) -> None:
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=self._timing.stops_within)
            for task in late:
                task.cancel()

    async def _record_groups(self) -> None:
        while not self.leaving or self._sending or self._results:
            if self._results:
                group, self._results = self._results, []
                await self._record(group)
            await asyncio.sleep(self._timing.group)

    async def _record(self, group: list[Sent]) -> None:
        def write() -> Recorded:
            with self._means.database.write() as session:
                return record(session, self.endpoint.id, self.fence, group, self._means.sender)

        recorded = await patiently(write, self._means.sender.uniform)
        instruments.webhooks_sent(group)
        self._busy -= {one.due.id for one in group}
        self._take_in(recorded)

    def _take_in(self, recorded: Recorded) -> None:
        if not recorded.ours or recorded.state != ENABLED:
            self.leave()
        if recorded.warning:
            _log.warning("endpoint_failing", endpoint=self.endpoint.id, patience_used=f"{recorded.warning} %")
        if recorded.disabled:
            _log.error("endpoint_disabled", endpoint=self.endpoint.id, reason=recorded.disabled)
        self._stir.set()

    async def _rest(self, seconds: float) -> None:
        self._stir.clear()
        await wait_at_most(self._stir, seconds)


def _passed_on(one: Due) -> dict[str, str]:
    """Where we do not trace ourselves, others go on."""
    return {HEADER: one.traceparent} if one.traceparent else {}


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
