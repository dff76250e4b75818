"""Instants: aware UTC ``datetime``, RFC 3339 on the wire."""

import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")


def parse_instant(value: object) -> object:
    """RFC 3339 text, with any offset and up to 9 digits of a second (kept to the microsecond), to aware UTC.

    Raises ``ValueError`` for text in any other form: a local time without offset names no instant.
    """
    if not isinstance(value, str):
        if isinstance(value, datetime):
            return value
        shown = value.isoformat() if isinstance(value, date) else f"{value!r:.40}"
        raise ValueError(f"{shown} is no RFC 3339 time like 2026-01-31T08:00:00Z")
    match = _RFC3339.fullmatch(value.strip())
    if not match:
        raise ValueError(f"{value[:40]!r} is no RFC 3339 time with an offset, like 2026-01-31T08:00:00Z")
    day, time, fraction, offset = match.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{time}.{(fraction or '0')[:6]:0<6}{offset.upper()}")
        return whole.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{value[:40]!r} is no time: {error}") from None


def format_instant(value: datetime) -> str:
    """RFC 3339 in UTC with ``Z`` and 0, 3 or 6 digits of a second, as proto3 JSON writes a Timestamp."""
    utc = value.astimezone(UTC)
    digits = "seconds" if utc.microsecond == 0 else "milliseconds" if utc.microsecond % 1000 == 0 else "microseconds"
    return utc.replace(tzinfo=None).isoformat(timespec=digits) + "Z"


def _check_aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time without an offset names no instant; add Z or an offset")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{value} is no time in UTC: {error}") from None


Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    AfterValidator(_check_aware),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
