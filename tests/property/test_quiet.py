"""Whenever wishes come: each is sent once it has rested, and never later than the longest wait after it came."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_quiet import WISH
from worker.core.acceptance import Offer, Quiet, Standing, plan_acceptance

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
TENTHS = st.lists(st.integers(0, 40), min_size=1, max_size=60)


def tenths(number: int) -> timedelta:
    return timedelta(seconds=number) / 10


@given(TENTHS, st.integers(0, 30), st.integers(0, 100))
def test_no_wish_waits_longer_than_the_longest_and_no_job_goes_in_the_middle_of_a_storm(
    gaps: list[int], rest: int, longest: int
) -> None:
    quiet, standing, now = Quiet(tenths(rest), tenths(longest)), Standing(), BEGIN
    waiting: list[datetime] = []
    due = BEGIN
    for row, gap in enumerate(gaps):
        now += tenths(gap)
        if waiting and due <= now:
            _sent(waiting, due, quiet)
            waiting, standing = [], Standing(standing.version, standing.newest_job_id)
        plan = plan_acceptance([Offer(row, row, WISH, "{}")], {WISH.resource: standing}, {}, now, quiet=quiet)
        (one,) = plan.accepted
        due, standing = one.not_before or now, plan.standings[WISH.resource]
        waiting.append(now)
    _sent(waiting, due, quiet)


def _sent(waiting: list[datetime], at: datetime, quiet: Quiet) -> None:
    assert at == min(waiting[-1] + quiet.rest, waiting[0] + quiet.longest)
