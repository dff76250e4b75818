"""Pure: what one answer of an endpoint means for the delivery, and for the endpoint."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

_SECOND, _MINUTE, _HOUR, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

# About three days, as Svix has it: https://docs.svix.com/retries
SCHEDULE = (
    5 * _SECOND, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR,
)  # fmt: skip
JITTER = 0.1
PATIENCE = 5 * _DAY  # an endpoint that has failed for so long is disabled
WARNINGS = (50, 70, 90, 100)  # percent of it
LONGEST_WAIT = _DAY  # of those that an endpoint asks for
OPENS_AFTER = 10  # failures in a run: from then on single probes
FIRST_PROBE, SLOWEST_PROBE = 15 * _SECOND, 15 * _MINUTE
GONE = 410
_WAITS = (429, 503)
_FIRST_SUCCESS, _LAST_SUCCESS = 200, 299


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: ``status`` None where nothing did, ``error`` says why. ``body``: its first characters."""

    status: int | None = None
    error: str | None = None
    retry_after: timedelta | None = None
    body: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and _FIRST_SUCCESS <= self.status <= _LAST_SUCCESS

    @property
    def words(self) -> str:
        """Why it is no success."""
        return self.error or f"it answered {self.status}"


@dataclass(frozen=True, slots=True)
class Delivered:
    pass


@dataclass(frozen=True, slots=True)
class TryAgain:
    after: timedelta


@dataclass(frozen=True, slots=True)
class SetAside:
    """Dead: kept, and sent again only if a person says so."""

    reason: str


def decide(reply: Reply, attempts: int, uniform: Callable[[], float]) -> Delivered | TryAgain | SetAside:
    """``attempts`` were made before this one. Any answer but a success is tried again: what refuses may be mended."""
    if reply.succeeded:
        return Delivered()
    if reply.status == GONE:
        return SetAside("the endpoint is gone (410)")
    if attempts >= len(SCHEDULE):
        return SetAside(f"gave up after {attempts + 1} attempts; the last: {reply.words}")
    return TryAgain(max(SCHEDULE[attempts] * (1 - JITTER + 2 * JITTER * uniform()), asked_wait(reply)))


def asked_wait(reply: Reply) -> timedelta:
    """How long the endpoint wants to be left alone."""
    wait = reply.retry_after if reply.status in _WAITS else None
    return min(wait or timedelta(0), LONGEST_WAIT)


@dataclass(frozen=True, slots=True)
class Health:
    """``failures`` in a run, since ``failing_since``; nothing is sent before ``held_until``.

    ``warned``: the percentage of patience that was last told of. ``disabled_at``: it was, and has taken nothing since.
    """

    failures: int = 0
    failing_since: datetime | None = None
    warned: int = 0
    held_until: datetime | None = None
    disabled_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """The circuit is: one request at a time."""
        return self.failures >= OPENS_AFTER


@dataclass(frozen=True, slots=True)
class Observed:
    """What an answer makes of an endpoint. ``disable`` says why; ``warning`` is the percentage newly reached."""

    health: Health
    disable: str | None = None
    warning: int | None = None
    recovered_from: datetime | None = None


def observe(health: Health, reply: Reply, now: datetime) -> Observed:
    """A failure that was under way when the circuit opened says nothing new: only probes lengthen the pause.

    A success closes the circuit. It ends no wait that another answer has asked for.
    """
    if reply.succeeded:
        asked_for = not health.is_open and health.held_until and health.held_until > now
        return Observed(Health(held_until=health.held_until if asked_for else None), recovered_from=health.disabled_at)
    if reply.status == GONE:
        return Observed(replace(health, disabled_at=now), disable="it answered 410 Gone")
    under_way = health.is_open and health.held_until is not None and now < health.held_until
    failures, since = health.failures + (not under_way), health.failing_since or now
    used = int((now - since) / PATIENCE * 100)
    warning = max((mark for mark in WARNINGS if health.warned < mark <= used), default=None)
    pause = max(timedelta(0) if under_way else _probe_pause(failures), asked_wait(reply))
    worse = replace(
        health,
        failures=failures,
        failing_since=since,
        warned=warning or health.warned,
        held_until=max(now + pause, health.held_until or now),
    )
    if used < WARNINGS[-1]:
        return Observed(worse, warning=warning)
    days = PATIENCE / _DAY
    why = f"it has failed for {days:.0f} days; the last: {reply.words}"
    return Observed(replace(worse, disabled_at=now), disable=why, warning=warning)


def _probe_pause(failures: int) -> timedelta:
    """No pause while the circuit is closed; then a doubling one."""
    if failures < OPENS_AFTER:
        return timedelta(0)
    return min(SLOWEST_PROBE, FIRST_PROBE * (1 << min(failures - OPENS_AFTER, 10)))
