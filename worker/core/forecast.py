"""Pure: how long so many requests to a remote take under its limits.

The n-th request leaves when the pace of the shortest window allows it, when every window has room for it, and when one
in flight has been answered. A permit counts from its grant until a window after its answer, so that each window lasts
longer by the latency (docs/explanation/rate-limit.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from api_adapter.rate_limit.policy import Policy, RateLimit, slot_ms

TYPICAL_LATENCY = timedelta(milliseconds=100)  # of a remote that has not answered yet
STARTING = timedelta(seconds=0.5)  # from the acceptance to the first request
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Conditions:
    """``used`` is what each window has been used for lately; nobody is let in before ``opens_in``."""

    policy: Policy
    latency: timedelta = TYPICAL_LATENCY
    used: Mapping[timedelta, int] = field(default_factory=dict)
    opens_in: timedelta = timedelta(0)


def duration_of(requests: int, conditions: Conditions) -> timedelta:
    """From the acceptance to the last answer; nothing takes no time."""
    if requests <= 0:
        return timedelta(0)
    policy, latency = conditions.policy, conditions.latency.total_seconds()
    windows = [_Room.of(limit, conditions) for limit in policy.limits]
    step = policy.shortest.window.total_seconds() / policy.shortest.limit
    at, leaves = -policy.burst(1) * step, list[float]()
    for number in range(requests):
        at = max(at + step, *(window.opens_for(number, leaves) for window in windows))
        if number >= policy.max_in_flight:
            at = max(at, leaves[number - policy.max_in_flight] + latency)
        leaves.append(max(at, 0.0))
    return STARTING + conditions.opens_in + timedelta(seconds=leaves[-1] + latency)


@dataclass(frozen=True, slots=True)
class _Room:
    """One window: ``capacity`` permits in any ``seconds``, of which ``used`` are gone, evenly over the last window."""

    capacity: int
    seconds: float
    used: int

    @classmethod
    def of(cls, limit: RateLimit, conditions: Conditions) -> "_Room":
        capacity = limit.limit - conditions.policy.reserve(limit.window_ms, limit.limit)
        rounding = timedelta(milliseconds=slot_ms(limit.window_ms)) / 2
        lasts = limit.window + conditions.latency + rounding
        return cls(capacity, lasts / _SECOND, min(conditions.used.get(limit.window, 0), capacity))

    def opens_for(self, number: int, leaves: list[float]) -> float:
        """When the request of this number, counted from 0, has room."""
        before = number - self.capacity
        if before >= 0:
            return leaves[before] + self.seconds
        if before + self.used < 0:
            return 0.0
        return self.seconds * (before + self.used + 1) / self.used
