"""Moments as a person gives them on the command line."""

from collections.abc import Callable
from datetime import datetime

from schemas.instants import parse_instant
from worker.configuration.values import parse_duration


def parse_moment(now: datetime) -> Callable[[str], datetime]:
    """``2026-01-31T08:00:00Z``, or how long ago: ``2h``. Raises ``ValueError``."""

    def parse(text: str) -> datetime:
        if text[-1:] in ("s", "m", "h", "d"):
            return now - parse_duration(text)
        found = parse_instant(text)
        assert isinstance(found, datetime)  # noqa: S101 - text becomes an instant, or raises
        return found

    return parse
