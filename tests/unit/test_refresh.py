"""When a quota is asked for anew."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from worker.core.refresh import LastAnswer, Pace, due_at

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PACE = Pace(HOUR, 24 * HOUR)


def after(hours: float) -> datetime:
    return NOON + hours * HOUR


def test_what_has_never_been_asked_is_due_at_once() -> None:
    assert due_at(None, None, PACE) is None


def test_the_pause_doubles_while_the_answer_stays_the_same_up_to_the_most() -> None:
    answers = [NOON]
    for _ in range(8):
        due = due_at(LastAnswer(answers[-1], NOON), None, PACE)
        assert due
        answers.append(due)
    pauses = [(later - earlier) / HOUR for earlier, later in itertools.pairwise(answers)]
    assert pauses == [1, 2, 4, 8, 16, 24, 24, 24]


def test_another_answer_takes_it_back_to_the_pace() -> None:
    assert due_at(LastAnswer(after(40), same_since=after(40)), None, PACE) == after(41)


@pytest.mark.parametrize(("ends", "due"), [(2, 2), (4, 4), (9, 5), (1, 5), (0, 5)])
def test_the_end_of_its_period_makes_it_due_unless_it_is_due_before_or_was_answered_since(ends: int, due: int) -> None:
    """Answered at one o'clock, the same since noon: the pause is two hours, were it not for a pace of four."""
    last = LastAnswer(after(1), NOON, period_end=after(ends))
    assert due_at(last, None, Pace(4 * HOUR, 4 * HOUR)) == after(due)


def test_what_brought_no_answer_is_asked_again_at_the_pace() -> None:
    assert due_at(None, after(1), PACE) == after(2)
    assert due_at(LastAnswer(NOON, NOON), after(5), PACE) == after(6)
    assert due_at(LastAnswer(NOON, NOON, period_end=after(1)), after(1), PACE) == after(2)


def test_a_pace_slower_than_the_most_is_kept() -> None:
    assert due_at(LastAnswer(after(90), NOON), None, Pace(48 * HOUR, 24 * HOUR)) == after(90 + 48)
