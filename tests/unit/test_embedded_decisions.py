"""What the supervisor decides and cuts, without a process."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.embedded.guard import watched
from worker.embedded.lines import LONGEST_LINE, LineCutter
from worker.embedded.restarts import Deaths, GiveUp, RestartIn, RestartPolicy, count_death, decide_restart

POLICY = RestartPolicy()


def waits(*lives: float) -> list[float | str]:
    """What is decided after each death, of lives of so many seconds."""
    deaths, decided = Deaths(), list[float | str]()
    for life in lives:
        deaths = count_death(deaths, timedelta(seconds=life), POLICY)
        match decide_restart(deaths, POLICY):
            case RestartIn(wait):
                decided.append(wait.total_seconds())
            case GiveUp():
                decided.append("give up")
    return decided


@pytest.mark.parametrize(
    ("lives", "decided"),
    [
        ([0, 0, 0, 0, 0], [1, 2, 4, 8, "give up"]),
        ([60] * 7, [1, 2, 4, 8, 16, 30, 30]),
        ([0, 0, 0, 0, 60, 0], [1, 2, 4, 8, 16, 30]),
        ([0, 0, 0, 0, 3600, 0], [1, 2, 4, 8, 1, 2]),
        ([60] * 50 + [3600], [1, 2, 4, 8, 16, *[30] * 45, 1]),
    ],
)
def test_waits_double_to_half_a_minute_and_five_quick_deaths_in_a_row_are_enough(
    lives: list[float], decided: list[float | str]
) -> None:
    assert waits(*lives) == decided


def test_a_child_that_died_all_week_still_has_a_wait() -> None:
    assert decide_restart(Deaths(all=100_000), POLICY) == RestartIn(timedelta(seconds=30))


@given(st.lists(st.binary(max_size=30)))
def test_lines_are_the_same_however_the_output_was_cut(chunks: list[bytes]) -> None:
    cutter = LineCutter()
    lines = [line for chunk in chunks for line in cutter.feed(chunk)] + cutter.end()
    whole = b"".join(chunks)
    expected = whole.split(b"\n")[:-1] + ([whole.rsplit(b"\n", 1)[-1]] if not whole.endswith(b"\n") and whole else [])
    assert lines == [line.decode("utf-8", "replace").rstrip("\r") for line in expected]


def test_a_line_without_end_does_not_grow_in_memory() -> None:
    cutter = LineCutter()
    pieces = [line for _ in range(10) for line in cutter.feed(b"x" * LONGEST_LINE)]
    assert [len(piece) for piece in pieces] == [LONGEST_LINE] * 10
    assert cutter.end() == []


def test_the_guard_kills_what_was_not_taken_back() -> None:
    assert watched(["+10\n", "+20\n", "-10\n", "+30\n", "-40\n"]) == {20, 30}
