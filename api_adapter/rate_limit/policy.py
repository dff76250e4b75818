"""What a remote allows, and the arithmetic that follows from it. Pure.

Times are whole milliseconds of the limiter's clock: floating-point seconds would blur the edges of the windows.
"""

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

USE_WITHIN = timedelta(seconds=1)  # a permit's time to be used, so that a process that was paused sends nothing late
PERMIT_LIFETIME = timedelta(seconds=10)  # unless the caller knows its requests' timeouts
SHORT_WINDOW_MS = 2000  # up to here a window that was forgotten is waited for, not reconstructed

SLOTS = 500  # entries a window's memory may hold, whatever its limit: settlements are rounded up to window / SLOTS
BURST_SHARE = 0.25  # of the shortest window's limit, what may go at once after idling
GROUP_MS = 10  # permits are worth asking for in groups of at least this much of the pace
MAX_COOLDOWN = timedelta(days=1)  # a quota of a day asks for no more; a year is a mistake
UNHINTED_COOLDOWN = timedelta(seconds=1)  # after a 429 that names no wait
RESERVED_FROM_MS = 5000  # a shorter window is sooner waited for than reserved
POLL_MS = 20  # when to ask again where only another's settlement or an interactive asker stands before us
INTERACTIVE_PATIENCE_MS = 2000  # who is told to come back later than this, but for a cooldown, keeps nobody waiting
INTERACTIVE_GRACE_MS = 1000  # how long an asker that did not come back in time still counts as waiting
FORGET_WINDOW_AFTER_MS = 60_000  # and one window more, once no policy names it

CUT = 0.7  # what sustained throttling multiplies the rate by
CUT_PAUSE_MS = 1000
RATE_FLOOR = 0.05
RECOVERY_PER_MS = 0.02 / 1000
RECOVERY_LOOK_MS = 1000  # while the rate recovers, a window makes room before anything has left it
STRAIN_MEMORY_MS = 5000  # time constant of the decaying counts of answers and throttled ones
STRAIN_SHARE = 0.02  # of recent answers; above it, and with at least STRAIN_COUNT, throttling is sustained
STRAIN_COUNT = 2

_MIN_WINDOW = timedelta(milliseconds=10)
_MAX_WINDOW = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class History:
    """What a limiter without memory must know of the time before.

    ``sent``: for each long window an upper bound on what was sent in it until now, those under way included. A window
    that it does not name counts as full; so does one of up to two seconds, which is sooner waited for than counted.
    ``cooldown`` is what is left of the wait that the remote has asked for.
    """

    sent: Mapping[timedelta, int] = field(default_factory=dict)
    cooldown: timedelta = timedelta(0)


Seed = Callable[[], Awaitable[History]]
"""Asked when the limiter's memory is lost or a window is new."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``limit`` requests in any sliding ``window``."""

    limit: int
    window: timedelta

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"a limit of {self.limit} requests allows nothing; at least 1 is expected")
        if not _MIN_WINDOW <= self.window <= _MAX_WINDOW:
            raise ValueError(f"a window of {self.window} is outside {_MIN_WINDOW} to {_MAX_WINDOW}")
        if self.window % timedelta(milliseconds=1):
            raise ValueError(f"a window of {self.window} is no whole number of milliseconds")

    @property
    def window_ms(self) -> int:
        return self.window // timedelta(milliseconds=1)

    def at(self, factor: float) -> int:
        """The limit while throttling has cut the rate to ``factor``."""
        return max(1, math.floor(self.limit * factor))


@dataclass(frozen=True, slots=True)
class Policy:
    """What one remote allows, and what bulk leaves of it to the interactive lane."""

    limits: tuple[RateLimit, ...]
    max_in_flight: int
    interactive_reserve: float = 0.02

    def __post_init__(self) -> None:
        if self.max_in_flight < 1:
            raise ValueError(f"max_in_flight is {self.max_in_flight}; at least 1 is expected")
        if not 0 <= self.interactive_reserve < 1:
            raise ValueError(
                f"interactive_reserve is {self.interactive_reserve}; a share from 0 to below 1 is expected"
            )
        object.__setattr__(self, "limits", _in_order(self.limits))

    @property
    def shortest(self) -> RateLimit:
        """The limit that sets the pace."""
        return self.limits[0]

    def pace(self, factor: float) -> float:
        """Permits a millisecond."""
        return self.shortest.limit / self.shortest.window_ms * factor

    def burst(self, factor: float) -> int:
        return max(1, math.floor(self.shortest.limit * factor * BURST_SHARE))

    def group(self, want: int, factor: float) -> int:
        """How many permits are worth waiting for at once, so that a busy fleet asks in groups and not one by one."""
        return min(want, self.burst(factor), max(1, math.floor(self.pace(factor) * GROUP_MS)))

    def reserve(self, window_ms: int, allowed: int) -> int:
        """What bulk leaves of a window, of what it allows now, to the interactive lane."""
        return math.floor(allowed * self.interactive_reserve) if window_ms >= RESERVED_FROM_MS else 0


def whole_ms(duration: timedelta) -> int:
    """Rounded up: a wait is never cut short."""
    return math.ceil(duration / timedelta(milliseconds=1))


def slot_ms(window_ms: int) -> int:
    return max(1, math.ceil(window_ms / SLOTS))


def slot_after(at_ms: int, window_ms: int) -> int:
    """The slot that a settlement at ``at_ms`` is counted in: the next one, so that it is never counted too short."""
    return at_ms // slot_ms(window_ms) + 1


def last_slot_out(now_ms: int, window_ms: int) -> int:
    """The newest slot that has left the window."""
    return (now_ms - window_ms) // slot_ms(window_ms)


def slot_leaves_at(slot: int, window_ms: int) -> int:
    return slot * slot_ms(window_ms) + window_ms


def cooldown_for(retry_after: timedelta | None) -> timedelta:
    """How long everybody waits after one throttled answer, counted from the answer."""
    if retry_after is None:
        return UNHINTED_COOLDOWN
    return min(max(retry_after, timedelta(0)), MAX_COOLDOWN)


def _in_order(limits: tuple[RateLimit, ...]) -> tuple[RateLimit, ...]:
    """Shortest window first. Raises ``ValueError`` where two limits contradict each other."""
    if not limits:
        raise ValueError("no rate limit is given; write it like '20/second, 300/minute'")
    ordered = tuple(sorted(limits, key=lambda limit: limit.window))
    for short, long in pairwise(ordered):
        if short.window == long.window:
            raise ValueError(f"two limits for a window of {short.window}: {short.limit} and {long.limit}")
        if short.limit > long.limit:
            raise ValueError(
                f"{short.limit} in {short.window} can never be reached when {long.limit} in {long.window} are allowed"
            )
    return ordered


_UNITS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
_SHORT_UNITS = {"s": "second", "sec": "second", "min": "minute", "h": "hour", "d": "day"}
_RATE = re.compile(r"(?P<limit>-?\d+)\s*(?:/|\bper\b)\s*(?P<times>-?\d*)\s*(?P<unit>[a-z]+)", re.ASCII)


def parse_rate_limit(text: str) -> tuple[RateLimit, ...]:
    """``20/second, 300/minute``: limits apart by commas, each ``N/unit``, ``N/10s`` or ``N per minute``.

    The shortest window comes first. Raises ``ValueError`` that names the part that is wrong.
    """
    return _in_order(tuple(_parse_one(part.strip()) for part in text.split(",")))


def _parse_one(text: str) -> RateLimit:
    match = _RATE.fullmatch(text.lower())
    if not match:
        raise ValueError(f"{text[:40]!r} is no rate limit; write it like 20/second, 100/10s or 300 per minute")
    unit = _unit(match["unit"], text)
    try:
        return RateLimit(int(match["limit"]), int(match["times"] or 1) * unit)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r}: {error}") from None


def _unit(word: str, text: str) -> timedelta:
    singular = word.removesuffix("s") or word
    name = _SHORT_UNITS.get(singular, singular)
    if name not in _UNITS:
        raise ValueError(f"{text[:40]!r}: unit {word!r} is unknown; second, minute, hour and day are known")
    return _UNITS[name]
