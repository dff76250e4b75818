"""The limiter's words: a permit, what became of it, and a grant of several.

A permit is leave to send one request. It counts against every window and the cap on requests in flight from the moment
it is granted until it is settled *and* the window has passed: the remote received the request somewhere between
grant and settlement, so no sliding window at the remote can see more than the limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from schemas.lanes import Lane


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request to ``remote``. Void once ``time.monotonic()`` of this process passes ``use_before``."""

    remote: str
    lane: Lane
    group: str
    use_before: float


@dataclass(frozen=True, slots=True)
class Settled:
    """One permit's end. ``sent=False`` gives it back unused.

    ``throttled`` says the remote answered 429 (or 503 with a wait). ``ended`` is ``time.monotonic()`` of this process
    when the answer came; without it the moment counts at which the settlement is handed in, and each millisecond
    between costs the fleet as much of its rate.
    """

    permit: Permit
    sent: bool = True
    throttled: bool = False
    retry_after: timedelta | None = None
    ended: float | None = None


class Why(StrEnum):
    """Why fewer permits came than were wanted; ``GRANTED`` when none were missing."""

    GRANTED = "granted"
    WINDOW = "window"
    PACE = "pace"
    IN_FLIGHT = "in_flight"
    COOLDOWN = "cooldown"
    RESERVED = "reserved"
    COLD = "cold"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Grant:
    """``permits`` may be sent now. Where fewer than wanted, asking again makes sense no sooner than ``retry_in``."""

    permits: tuple[Permit, ...] = ()
    retry_in: timedelta = timedelta(0)
    why: Why = Why.GRANTED


@dataclass(frozen=True, slots=True)
class WindowUsage:
    limit: int
    window: timedelta
    used: int


@dataclass(frozen=True, slots=True)
class Usage:
    """A look at one remote's limiter, for people. ``rate_factor`` is 1.0 unless throttling has cut the rate."""

    windows: tuple[WindowUsage, ...]
    in_flight: int
    max_in_flight: int
    cooldown: timedelta = timedelta(0)
    rate_factor: float = 1.0
    waiting_interactive: bool = field(default=False)


class RateLimiter(Protocol):
    """One remote's limiter. Shared by the fleet (Redis) or held in this process (the twin): one contract, one suite."""

    async def exchange(self, lane: Lane, want: int, settled: Sequence[Settled] = ()) -> Grant:
        """Settle what has ended and ask for up to ``want`` permits (0: only settle), in one round trip.

        Never raises for a limiter that is away: the answer is an empty grant with ``Why.AWAY`` (fail closed). What
        could not be settled is kept by the limiter object and sent with the next exchange.
        """
        ...

    async def usage(self) -> Usage: ...

    async def forget_cooldown(self) -> timedelta:
        """End the cooldown, where a person knows that it is a mistake; returns what was left of it.

        All that is counted stays, and so does a rate that throttling has cut. An answer that comes later may begin
        another cooldown.
        """
        ...
