from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_adapter.retry_after import LONGEST_WAIT, parse_wait

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a cold machine, many at work
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


def _wait(**headers: str) -> float | None:
    wait = parse_wait({name.replace("_", "-"): value for name, value in headers.items()}, NOW)
    return None if wait is None else wait.total_seconds()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", 0),
        ("0030", 30),
        ("Sun, 01 Mar 2026 12:00:45 GMT", 45),  # IMF-fixdate
        ("Sunday, 01-Mar-26 12:00:45 GMT", 45),  # RFC 850
        ("Sun Mar  1 12:00:45 2026", 45),  # asctime
        ("Mon Mar 16 12:00:00 2026", 24 * 3600),
        ("Sun, 01 Mar 2026 12:00:60 GMT", 59),  # a leap second
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),  # the past
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0),  # 2094 is more than 50 years ahead: 1994
    ],
)
def test_retry_after_is_read_in_each_form_of_rfc_9110(value: str, seconds: float) -> None:
    assert _wait(retry_after=value) == seconds


@pytest.mark.parametrize("ahead", [timedelta(hours=-2), timedelta(0), timedelta(hours=2)])
@pytest.mark.parametrize(
    ("name", "value"),
    [("retry-after", "Sun, 01 Mar 2026 12:00:45 GMT"), ("x-ratelimit-reset", str(EPOCH + 45))],
)
def test_a_time_is_held_against_the_answers_own_date_whatever_our_clock_says(
    name: str, value: str, ahead: timedelta
) -> None:
    headers = {"date": "Sun, 01 Mar 2026 12:00:00 GMT", "x-ratelimit-remaining": "0", name: value}
    assert parse_wait(headers, NOW + ahead) == timedelta(seconds=45)
    assert parse_wait(headers | {"date": "yesterday"}, NOW) == timedelta(seconds=45)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-5",
        "+5",
        "1.5",
        "soon",
        "٣٠",  # digits, but not these
        "30 s",
        "30, 60",
        "Sun, 30 Feb 2026 12:00:45 GMT",
        "Sun, 01 Mar 2026 25:00:45 GMT",
        "Sun, 01 Mar 2026 12:00:45 CET",
        "2026-03-01T12:00:45Z",
    ],
)
def test_a_malformed_retry_after_is_as_none(value: str) -> None:
    assert _wait(retry_after=value) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "86401"},
        {"retry_after": "9" * 5000},
        {"retry_after": "Sun, 01 Mar 2099 12:00:45 GMT"},
        {"ratelimit": f"r=0;t={'9' * 5000}"},
        {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "9" * 5000},
    ],
)
def test_no_wait_is_longer_than_a_day(headers: dict[str, str]) -> None:
    assert _wait(**headers) == LONGEST_WAIT.total_seconds()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ('"default";r=0;t=30', 30),
        ("default;r=0;t=30", 30),  # a token instead of a string: draft -08
        ('"burst";r=0;t=1, "day";r=0;t=600', 600),
        ('"burst";r=0;t=1, "day";r=9;t=600', 1),
        ('"a,b;r=9";r=0;t=7', 7),  # the name of a policy may hold what separates
        ("limit=100, remaining=0, reset=50", 50),
        ("limit=100;w=60, remaining=0, reset=50", 50),
        ('"default";r=1;t=30', None),
        ("limit=100, remaining=1, reset=50", None),
        ('"default";r=0', None),
        ('"default";r=0;t=-3', None),
        ("limit=100, remaining=0", None),
        ('";;,,==', None),
    ],
)
def test_ratelimit_asks_for_a_wait_only_where_nothing_remains(value: str, seconds: float | None) -> None:
    assert _wait(ratelimit=value) == seconds


@pytest.mark.parametrize("family", ["ratelimit", "x_ratelimit"])
@pytest.mark.parametrize(
    ("remaining", "reset", "seconds"),
    [
        ("0", "20", 20),
        ("0", str(EPOCH + 20), 20),
        ("0", str((EPOCH + 20) * 1000), 20),  # milliseconds
        ("0", str(EPOCH - 20), 0),
        ("1", "20", None),
        ("", "20", None),
        ("0", "", None),
        ("0", "-20", None),
        ("none", "20", None),
    ],
)
def test_a_reset_is_a_delta_or_a_time_since_1970(
    family: str, remaining: str, reset: str, seconds: float | None
) -> None:
    assert _wait(**{f"{family}_remaining": remaining, f"{family}_reset": reset}) == seconds


def test_retry_after_outranks_ratelimit_which_outranks_the_older_headers() -> None:
    older = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "3"}
    assert _wait(retry_after="1", ratelimit="r=0;t=2", **older) == 1
    assert _wait(retry_after="soon", ratelimit="r=0;t=2", **older) == 2
    assert _wait(ratelimit="r=5;t=2", **older) == 3


@PATIENT
@given(st.datetimes(datetime(2026, 3, 1, 12), datetime(2026, 3, 2, 11)).map(lambda at: at.replace(microsecond=0)))  # noqa: DTZ001 - hypothesis takes naive bounds
def test_the_date_python_writes_is_the_date_that_is_read(at: datetime) -> None:
    at = at.replace(tzinfo=UTC)
    assert parse_wait({"retry-after": format_datetime(at, usegmt=True)}, NOW) == at - NOW


@PATIENT
@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "ratelimit", "ratelimit-remaining", "ratelimit-reset", "x-ratelimit-reset"]),
        st.text() | st.text('0123456789,;=rt"\\ -'),
    )
)
def test_any_text_in_the_headers_is_a_wait_within_bounds_or_none(headers: dict[str, str]) -> None:
    wait = parse_wait(headers, NOW)
    assert wait is None or timedelta(0) <= wait <= LONGEST_WAIT
