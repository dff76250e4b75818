"""Instants: RFC 3339 in, aware UTC inside, proto3 JSON out."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.instants import Instant, format_instant

INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
AWARE = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.timezones())  # noqa: DTZ001 - bounds


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31T08:00:00Z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31t08:00:00z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31 08:00:00+00:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        (" 2026-01-31T08:00:00Z\n", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31T08:00:00+05:30", datetime(2026, 1, 31, 2, 30, tzinfo=UTC)),
        ("2026-01-31T08:00:00-00:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31T08:00:00.5Z", datetime(2026, 1, 31, 8, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T08:00:00.123456789Z", datetime(2026, 1, 31, 8, 0, 0, 123_456, tzinfo=UTC)),
        ("1969-12-31T23:59:59Z", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_rfc_3339_with_an_offset_is_an_instant(text: str, instant: datetime) -> None:
    taken = INSTANT.validate_python(text)
    assert (taken, taken.tzinfo) == (instant, UTC)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("2026-01-31T08:00:00", "no RFC 3339 time with an offset"),
        ("2026-01-31", "no RFC 3339 time with an offset"),
        ("31.01.2026 08:00", "no RFC 3339 time with an offset"),
        ("2026-01-31T08:00Z", "no RFC 3339 time with an offset"),
        ("2026-01-31T08:00:00,5Z", "no RFC 3339 time with an offset"),
        ("2026-01-31T08:00:00.1234567890Z", "no RFC 3339 time with an offset"),
        ("20260131T080000Z", "no RFC 3339 time with an offset"),
        ("x" * 1000, "no RFC 3339 time with an offset"),
        ("2026-02-30T08:00:00Z", "is no time"),
        ("2026-01-31T24:00:00Z", "is no time"),
        ("2026-01-31T08:00:60Z", "is no time"),
        ("2026-01-31T08:00:00+25:00", "is no time"),
        ("0000-01-01T00:00:00Z", "is no time"),
        ("0001-01-01T00:00:00+14:00", "is no time"),
        ("٢٠٢٦-01-31T08:00:00Z", "is no time"),
        (1_769_846_400, "no RFC 3339 time"),
        (True, "no RFC 3339 time"),
        (None, "no RFC 3339 time"),
        (datetime(2026, 1, 31, 8), "a time without an offset names no instant"),  # noqa: DTZ001 - that is the point
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "is no time in UTC"),
    ],
)
def test_anything_else_is_refused(given: object, told: str) -> None:
    with pytest.raises(ValidationError) as error:
        INSTANT.validate_python(given)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("microsecond", "text"),
    [
        (0, "2026-01-31T08:00:00Z"),
        (500_000, "2026-01-31T08:00:00.500Z"),
        (123_000, "2026-01-31T08:00:00.123Z"),
        (1, "2026-01-31T08:00:00.000001Z"),
    ],
)
def test_an_instant_is_written_with_0_3_or_6_digits(microsecond: int, text: str) -> None:
    assert format_instant(datetime(2026, 1, 31, 8, 0, 0, microsecond, tzinfo=UTC)) == text


@given(AWARE)
def test_what_was_written_is_read_back(instant: datetime) -> None:
    """Compared in UTC: an hour that its zone skips equals nothing in another zone."""
    utc = instant.astimezone(UTC)
    assert INSTANT.validate_python(format_instant(instant)) == utc
    assert INSTANT.validate_python(instant) == utc
    assert INSTANT.dump_json(instant).decode() == f'"{format_instant(instant)}"'
