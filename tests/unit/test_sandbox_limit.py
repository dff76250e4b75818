from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_adapter.sandbox.errors import LimitError
from api_adapter.sandbox.ledger import most_in_window
from api_adapter.sandbox.limit import Limit, Window, parse_windows


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("", ()),
        ("200/second", (Window(200, _seconds(1)),)),
        ("300/minute, 5/10 seconds", (Window(300, _seconds(60)), Window(5, _seconds(10)))),
        ("1/hour", (Window(1, _seconds(3600)),)),
        ("7/2 days", (Window(7, timedelta(days=2)),)),
    ],
)
def test_a_limit_is_read_as_people_write_it(text: str, windows: tuple[Window, ...]) -> None:
    assert parse_windows(text) == windows


@pytest.mark.parametrize(
    "text", ["0/second", "200", "200/fortnight", "-1/second", "2/second,", "1.5/second", "٣/second"]
)
def test_a_limit_that_cannot_be_read_says_what_one_looks_like(text: str) -> None:
    with pytest.raises(LimitError, match="200/second"):
        parse_windows(text)


def test_beyond_the_limit_the_wait_is_until_the_oldest_leaves_the_window() -> None:
    limit = Limit(parse_windows("2/second"))
    assert limit.admit(10.0) is None
    assert limit.admit(10.25) is None
    assert limit.admit(10.5) == _seconds(0.5)
    assert limit.admit(11.0) is None
    assert limit.admit(11.0) == _seconds(0.25)


def test_the_narrowest_of_several_windows_decides_and_a_refused_request_counts_for_nothing() -> None:
    limit = Limit(parse_windows("1/second, 2/10 seconds"))
    assert [limit.admit(now) is None for now in (0.0, 0.5, 1.0, 2.0)] == [True, False, True, False]
    assert limit.admit(3.0) == _seconds(7)
    assert limit.admit(10.0) is None


@given(
    gaps=st.lists(st.integers(0, 8), max_size=60),
    most=st.integers(1, 5),
    length=st.integers(1, 4),
)
def test_no_sliding_window_of_what_was_let_in_holds_more_than_the_limit(
    gaps: list[int], most: int, length: int
) -> None:
    limit = Limit((Window(most, _seconds(length)),))
    now, admitted = 0.0, []
    for gap in gaps:
        now += gap / 4
        wait = limit.admit(now)
        if wait is None:
            admitted.append(now)
        else:
            assert sum(now - length < time for time in admitted) == most, "refused only where the window is full"
    assert most_in_window(admitted, _seconds(length)) <= most
