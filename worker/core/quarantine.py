"""Pure: when a whole remote is put aside, and when it is probed. Its jobs stay pending meanwhile.

A quarantined remote gets single probes at a decaying cadence until one is answered.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_never

from api_adapter.outcomes import (
    Ambiguous,
    Answered,
    Mismatched,
    Missing,
    NotSent,
    Outcome,
    Refused,
    Throttled,
    Unauthorized,
    Unavailable,
    Unsupported,
)

RUN_OF_FAILURES = 10
FORBIDDEN = 403  # may be about one target alone: it puts the remote aside only in a run, as a failure does
FIRST_PROBE = timedelta(seconds=1)
SLOWEST_PROBE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Trip:
    """Put the remote aside, and why."""

    reason: str


@dataclass(slots=True)
class Watch:
    """The run of failures of one remote, as one worker process sees it."""

    failures: int = 0

    def observe(self, outcomes: Iterable[Outcome[Any]], *, probing: bool = False) -> Trip | None:
        """Follow outcomes in their order; return the trip that they came to, if any. One failed probe is enough."""
        trip = None
        for outcome in outcomes:
            match outcome:
                case Unauthorized(message=message) if outcome.exchange.status == FORBIDDEN:
                    trip = self._failed(message, probing=probing) or trip
                case Unauthorized(message=message, renewed=renewed):
                    trip = trip if renewed else Trip(f"not let in: {message}")
                case Unavailable(message=message) | Ambiguous(message=message):
                    trip = self._failed(message, probing=probing) or trip
                case Answered() | Mismatched() | Refused() | Missing() | Unsupported() | Throttled():
                    self.failures, trip = 0, None
                case NotSent():
                    pass
                case _:
                    assert_never(outcome)
        return trip

    def _failed(self, message: str, *, probing: bool) -> Trip | None:
        self.failures += 1
        if not probing and self.failures < RUN_OF_FAILURES:
            return None
        return Trip(f"{self.failures} failures in a run; the last: {message}")


def is_answer(outcomes: Iterable[Outcome[Any]]) -> bool:
    """Whether the remote has answered as one that works, whatever it said: what ends a quarantine."""
    answers = (Answered, Mismatched, Refused, Missing, Unsupported, Throttled)
    return any(isinstance(outcome, answers) for outcome in outcomes)


def probe_pause(probes: int) -> timedelta:
    """The wait before the next probe, after ``probes`` that failed: 1 s doubling to 1 min."""
    return min(SLOWEST_PROBE, FIRST_PROBE * (1 << min(probes, 10)))
