"""Pure: how fast a batch goes, from what was seen of it, and how long the rest takes at that pace."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

WINDOW = timedelta(seconds=30)  # long enough to even out chunks, short enough to follow a cut rate


@dataclass(frozen=True, slots=True)
class Sample:
    """``ended`` jobs at ``at``, a monotonic clock's seconds."""

    at: float
    ended: int


@dataclass(frozen=True, slots=True)
class Pace:
    """``left`` is None while nothing ends: at that pace nobody can say."""

    per_second: float
    left: timedelta | None


def pace(samples: Sequence[Sample], remaining: int) -> Pace:
    """Of samples in their order; jobs that are retried meanwhile do not make the pace negative."""
    passed = samples[-1].at - samples[0].at if samples else 0.0
    if passed <= 0:
        return Pace(0.0, None)
    per_second = max(0.0, (samples[-1].ended - samples[0].ended) / passed)
    return Pace(per_second, timedelta(seconds=remaining / per_second) if per_second else None)


def recent(samples: Sequence[Sample]) -> list[Sample]:
    """Those within the window before the last one."""
    return [sample for sample in samples if sample.at >= samples[-1].at - WINDOW.total_seconds()]
