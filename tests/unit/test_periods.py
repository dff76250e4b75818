"""Which evaluation period is the current one, which the next."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.coaching import EvaluationPeriod
from schemas.jobs import PeriodWord
from worker.core.periods import period_meant

WEEK = timedelta(weeks=1)
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
WEEKS = tuple(EvaluationPeriod(start_time=FIRST + n * WEEK, end_time=FIRST + (n + 1) * WEEK) for n in range(3))


@pytest.mark.parametrize(
    ("word", "now", "week"),
    [
        ("current", FIRST + timedelta(days=2), 0),
        ("next", FIRST + timedelta(days=2), 1),
        ("current", FIRST + WEEK, 1),
        ("next", FIRST + WEEK, 2),
        ("next", FIRST - timedelta(days=1), 0),
        ("current", FIRST - timedelta(days=1), None),
        ("current", FIRST + 3 * WEEK, None),
        ("next", FIRST + 2 * WEEK, None),
    ],
)
def test_a_period_begins_with_its_start_and_is_over_at_its_end(
    word: PeriodWord, now: datetime, week: int | None
) -> None:
    assert period_meant(word, WEEKS, now) == (None if week is None else WEEKS[week])
