"""The sandbox's own rate limit: an exact sliding log of the requests it let in, per window.

ours: the vendor documents no limit; there is none unless one is asked for.
"""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from api_adapter.sandbox.errors import LimitError

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_WINDOW = re.compile(
    r"(?P<most>[1-9]\d{0,8})/(?:(?P<length>[1-9]\d{0,5}) ?)?(?P<unit>second|minute|hour|day)s?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Window:
    most: int
    length: timedelta


def parse_windows(text: str) -> tuple[Window, ...]:
    """``200/second``, ``300/minute, 5/10 seconds``; the empty text is no limit."""
    return tuple(_parse_window(part.strip()) for part in text.split(",")) if text.strip() else ()


def _parse_window(text: str) -> Window:
    match = _WINDOW.fullmatch(text)
    if not match:
        raise LimitError(f"rate limit {text!r} is not like 200/second or 5/10 seconds (second, minute, hour, day)")
    return Window(int(match["most"]), timedelta(seconds=int(match["length"] or 1) * _UNITS[match["unit"]]))


@dataclass(slots=True)
class Limit:
    """A request is let in where every window has room; one that is refused counts for nothing."""

    windows: tuple[Window, ...]
    _logs: tuple[deque[float], ...] = field(init=False)

    def __post_init__(self) -> None:
        self._logs = tuple(deque() for _ in self.windows)

    def admit(self, now: float) -> timedelta | None:
        """None: let in, and counted. Otherwise the wait until there is room. ``now`` is monotonic seconds."""
        logs = tuple(zip(self.windows, self._logs, strict=True))
        for window, log in logs:
            _forget(log, now - window.length.total_seconds())
        full = [log[0] + window.length.total_seconds() - now for window, log in logs if len(log) >= window.most]
        if full:
            return timedelta(seconds=max(full))
        for log in self._logs:
            log.append(now)
        return None


def _forget(log: deque[float], until: float) -> None:
    while log and log[0] <= until:
        log.popleft()


def describe(windows: Iterable[Window]) -> list[str]:
    return [f"{window.most}/{int(window.length.total_seconds())} seconds" for window in windows]
