"""What the remote's ledger says about the limit: how full it was kept while work waited. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` (included) to ``end``, monotonic seconds."""

    start: float
    end: float

    @property
    def length(self) -> float:
        return max(0.0, self.end - self.start)


@dataclass(frozen=True, slots=True)
class Use:
    """``share`` of the limit that was used in the ``seconds`` that count."""

    share: float
    seconds: float


def use_of_limit(arrivals: Iterable[float], limit: float, waiting: Sequence[Span], excluded: Sequence[Span]) -> Use:
    """Requests that arrived while work waited, against what the limit allows; ``excluded`` time does not count."""
    counted = without(waiting, excluded)
    times = sorted(arrivals)
    inside = sum(bisect_left(times, span.end) - bisect_left(times, span.start) for span in counted)
    seconds = sum(span.length for span in counted)
    return Use(inside / (limit * seconds) if seconds else 0.0, seconds)


def spans_where(samples: Sequence[tuple[float, bool]]) -> list[Span]:
    """Between neighbouring samples that both say yes."""
    return [Span(at, then) for (at, yes), (then, also) in pairwise(samples) if yes and also]


def without(spans: Iterable[Span], excluded: Iterable[Span]) -> list[Span]:
    left = list(spans)
    for hole in excluded:
        left = [part for span in left for part in _cut(span, hole) if part.length]
    return left


def _cut(span: Span, hole: Span) -> tuple[Span, ...]:
    if hole.end <= span.start or hole.start >= span.end:
        return (span,)
    return Span(span.start, min(span.end, hole.start)), Span(max(span.start, hole.end), span.end)
