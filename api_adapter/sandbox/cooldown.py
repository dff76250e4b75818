"""The waits the sandbox itself has asked for with ``Retry-After``, and who came in spite of them."""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(slots=True)
class Cooldown:
    """Times are monotonic seconds and never run backwards. ``grace`` spares requests already under way."""

    grace: timedelta
    announced: int = 0
    _waits: deque[tuple[float, float]] = field(default_factory=deque)

    def announce(self, now: float, wait: timedelta) -> None:
        self.announced += 1
        start, end = now + self.grace.total_seconds(), now + wait.total_seconds()
        if self._waits and start < self._waits[-1][1]:
            start, until = self._waits.pop()
            end = max(end, until)
        if start < end:
            self._waits.append((start, end))

    def forbids(self, now: float) -> bool:
        while self._waits and self._waits[0][1] <= now:
            self._waits.popleft()
        return bool(self._waits) and self._waits[0][0] < now


def announced_wait(headers: Iterable[tuple[str, str]], now: datetime) -> timedelta | None:
    """The wait that ``Retry-After`` asks for, in seconds or as an HTTP-date; None without one that can be read."""
    for key, value in headers:
        if key.lower() == "retry-after":
            return parse_retry_after(value, now)
    return None


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    if _SECONDS.fullmatch(value):
        return timedelta(seconds=int(value))
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(date.replace(tzinfo=date.tzinfo or UTC) - now, timedelta(0))
