"""Pure: what is drawn of a history, as coordinates. The templates draw it; nothing here knows SVG.

The plane is ``WIDTH`` by ``HEIGHT``; the plot proper lies within the margins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor, log10

from worker.counts import counted

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 14, 30
_STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        *(1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600),
        *(86_400 * days for days in (1, 2, 7, 14, 28, 91, 182, 365, 730, 3650)),
    )
)
MOST_TICKS = 7


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One value at its time, with the words that tell it."""

    x: float
    y: float
    words: str
    kind: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    words: str
    kind: str


@dataclass(frozen=True, slots=True)
class Plot:
    """``line`` is the path of the value that held, step by step; ``marks`` are moments, each a line to the foot."""

    xs: tuple[Tick, ...]
    ys: tuple[Tick, ...]
    line: str = ""
    dots: tuple[Dot, ...] = ()
    marks: tuple[Dot, ...] = ()
    bars: tuple[Bar, ...] = ()

    width = WIDTH
    height = HEIGHT
    left, right, top, bottom = LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class Value:
    """``holds``: from then on it is the value there; else it was only wished, or found and not kept."""

    at: datetime
    value: float
    words: str
    kind: str = "held"
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Moment:
    at: datetime
    words: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def history_plot(values: Sequence[Value], moments: Sequence[Moment], until: datetime) -> Plot | None:
    """Values oldest first; the last one that holds is drawn on to ``until``. None where there is nothing to draw."""
    if not values:
        return None
    times = [*(one.at for one in values), *(one.at for one in moments), until]
    first, last = min(times), max(times)
    if last - first < timedelta(seconds=1):
        first -= timedelta(seconds=1)
    margin = (last - first) / 40
    first -= margin
    x = _Scale(first.timestamp(), last.timestamp(), LEFT, WIDTH - RIGHT)
    ticks = value_ticks([one.value for one in values])
    y = _Scale(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    return Plot(
        xs=tuple(Tick(x(at.timestamp()), label) for at, label in time_ticks(first, last)),
        ys=tuple(Tick(y(one), f"{one:g}") for one in ticks),
        line=_steps([(x(one.at.timestamp()), y(one.value)) for one in values if one.holds], x(until.timestamp())),
        dots=tuple(Dot(x(one.at.timestamp()), y(one.value), one.words, one.kind) for one in values),
        marks=tuple(Dot(x(one.at.timestamp()), TOP, one.words, one.kind) for one in moments),
    )


def share_plot(counts: Sequence[tuple[datetime, int]], bucket: timedelta, most: float) -> Plot:
    """Bars of what was sent in each ``bucket``, in percent of ``most``, which is what the limit allows in one."""
    shares = [100 * count / most for _, count in counts]
    first, last = counts[0][0], counts[-1][0] + bucket
    x = _Scale(first.timestamp(), last.timestamp(), LEFT, WIDTH - RIGHT)
    y = _Scale(0, max(100.0, *shares), HEIGHT - BOTTOM, TOP)
    width = max(1.0, x((first + bucket).timestamp()) - LEFT - 2)
    foot = y(0)
    return Plot(
        xs=tuple(Tick(x(at.timestamp()), label) for at, label in time_ticks(first, last)),
        ys=tuple(Tick(y(one), f"{one:g}%") for one in (0, 25, 50, 75, 100)),
        bars=tuple(
            Bar(
                x(at.timestamp()) + 1,
                y(share),
                width,
                round(foot - y(share), 1),
                f"{at:%H:%M}: {counted(count, 'request')}, {share:.0f}% of the limit",
                "sent",
            )
            for (at, count), share in zip(counts, shares, strict=True)
        ),
    )


def value_ticks(values: Sequence[float]) -> list[float]:
    """Three to six round values around all that are drawn."""
    low, high = min(values), max(values)
    if high - low < 1e-9:  # noqa: PLR2004 - the same value throughout
        low, high = (low - 1, high + 1) if low else (0.0, 1.0)
    rough = (high - low) / 4
    size = 10.0 ** floor(log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    begin = floor(low / step)
    count = -floor(-(high / step)) - begin
    return [round((begin + number) * step, 9) for number in range(count + 1)]


def time_ticks(first: datetime, last: datetime) -> list[tuple[datetime, str]]:
    """At most ``MOST_TICKS`` round moments, with as much of the date as tells them apart."""
    span = last - first
    step = next((one for one in _STEPS if span / one <= MOST_TICKS), _STEPS[-1])
    epoch = datetime.fromtimestamp(0, first.tzinfo)
    at = epoch + -(-(first - epoch) // step) * step
    found = []
    while at <= last:
        found.append((at, at.strftime(_form(step, span))))
        at += step
    return found


def _form(step: timedelta, span: timedelta) -> str:
    day = timedelta(days=1)
    if step >= day:
        return "%m-%d" if span < 300 * day else "%Y-%m-%d"
    clock = "%H:%M" if step >= timedelta(minutes=1) else "%H:%M:%S"
    return clock if span < day else f"%m-%d {clock}"


def _steps(points: Sequence[tuple[float, float]], until: float) -> str:
    """Each value holds until the next one."""
    if not points:
        return ""
    path = f"M{points[0][0]} {points[0][1]}"
    for x, y in points[1:]:
        path += f"H{x}V{y}"
    return path + f"H{max(until, points[-1][0])}"
