"""Pure: when a quota is asked for anew."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Pace:
    """``every`` so often, up to ``at_most`` apart while the answer stays the same."""

    every: timedelta
    at_most: timedelta


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """``same_since``: the first answer that gave the present quota. ``period_end`` of the period that it is about."""

    at: datetime
    same_since: datetime
    period_end: datetime | None = None


def due_at(last: LastAnswer | None, asked_at: datetime | None, pace: Pace) -> datetime | None:
    """None: it has never been asked, and is due at once. ``asked_at`` is when it was asked last, answered or not."""
    if last is None:
        return asked_at and asked_at + pace.every
    due = last.at + _pause(last, pace)
    if last.period_end and last.period_end > last.at:
        due = min(due, last.period_end)
    if asked_at and asked_at > last.at:  # no answer came of it
        due = max(due, asked_at + pace.every)
    return due


def _pause(last: LastAnswer, pace: Pace) -> timedelta:
    """Twice the last one while nothing changes: 1, 2, 4 … of the pace are 0, 1, 3 … of it after the first answer."""
    return max(pace.every, min(last.at - last.same_since + pace.every, pace.at_most))
