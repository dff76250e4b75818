from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_adapter.sandbox.cooldown import Cooldown, announced_wait, parse_retry_after

NOW = datetime(2026, 1, 31, 8, 0, 0, tzinfo=UTC)


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("2", _seconds(2)),
        ("0", _seconds(0)),
        ("Sat, 31 Jan 2026 08:00:05 GMT", _seconds(5)),
        ("Sat, 31 Jan 2026 07:00:00 GMT", _seconds(0)),
        ("-1", None),
        ("soon", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 40, None),
    ],
)
def test_retry_after_is_seconds_or_an_http_date(value: str, wait: timedelta | None) -> None:
    assert parse_retry_after(value, NOW) == wait
    assert announced_wait([("X-Other", "1"), ("retry-after", value)], NOW) == wait


def test_without_the_header_no_wait_is_announced() -> None:
    assert announced_wait([("Content-Type", "text/html")], NOW) is None


def test_a_request_after_the_grace_and_before_the_end_of_the_wait_is_a_violation() -> None:
    cooldown = Cooldown(grace=_seconds(0.25))
    cooldown.announce(100.0, _seconds(2))
    seen = [cooldown.forbids(now) for now in (100.0, 100.25, 100.26, 101.99, 102.0, 103.0)]
    assert seen == [False, False, True, True, False, False]


def test_a_later_answer_extends_the_wait_without_a_new_grace() -> None:
    cooldown = Cooldown(grace=_seconds(0.5))
    cooldown.announce(0.0, _seconds(2))
    cooldown.announce(1.0, _seconds(2))
    assert [cooldown.forbids(now) for now in (1.2, 2.5, 2.9, 3.0)] == [True, True, True, False]


def test_a_wait_shorter_than_the_grace_forbids_nothing() -> None:
    cooldown = Cooldown(grace=_seconds(1))
    cooldown.announce(0.0, _seconds(1))
    assert not cooldown.forbids(0.5)
    assert cooldown.announced == 1


@given(events=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12)), max_size=30), grace=st.integers(0, 4))
def test_a_request_is_a_violation_exactly_where_some_announced_wait_forbids_it(
    events: list[tuple[int, int]], grace: int
) -> None:
    cooldown, now, waits = Cooldown(_seconds(grace)), 0.0, []
    for gap, wait in events:
        now += gap
        forbidden = any(start + grace < now < end for start, end in waits)
        assert cooldown.forbids(now) == forbidden
        cooldown.announce(now, _seconds(wait))
        waits.append((now, now + wait))
