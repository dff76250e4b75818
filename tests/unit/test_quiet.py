"""A storm of wishes for one resource: when the job goes that it becomes."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.jobs import QuotaRecalculation
from worker.core.acceptance import Acceptance, Fate, Offer, Quiet, Standing, plan_acceptance

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
QUIET = Quiet(2 * SECOND, 15 * SECOND)
WISH = QuotaRecalculation(scorecard_template_name="customers/acme/profiles/main/scorecardTemplates/s@1")


def decide(standing: Standing, quiet: Quiet | None = QUIET, wishes: int = 1) -> Acceptance:
    offers = [Offer(100 + row, row + 1, WISH, "{}") for row in range(wishes)]
    return plan_acceptance(offers, {WISH.resource: standing}, {}, NOW, quiet=quiet)


def pending(since: datetime | None, not_before: datetime | None = None) -> Standing:
    return Standing(1, 7, pending_job_id=7, debounced_since=since, not_before=not_before)


def test_the_first_wish_of_a_storm_rests() -> None:
    (one,) = decide(Standing()).accepted
    assert (one.not_before, one.debounced_since) == (NOW + 2 * SECOND, NOW)


@pytest.mark.parametrize(("began", "goes"), [(1, 2), (12, 2), (13, 2), (14, 1), (15, 0), (60, -45)])
def test_another_one_rests_as_long_but_not_past_the_longest_since_the_storm_began(began: int, goes: int) -> None:
    (one,) = decide(pending(NOW - began * SECOND)).accepted
    assert (one.not_before, one.debounced_since) == (NOW + goes * SECOND, NOW - began * SECOND)


def test_wishes_of_one_page_are_one_job_that_rests() -> None:
    plan = decide(Standing(), wishes=3)
    assert [one.fate for one in plan.accepted] == [Fate.SUPERSEDED, Fate.SUPERSEDED, Fate.QUEUED]
    assert plan.accepted[-1].not_before == NOW + 2 * SECOND


def test_a_wish_without_rest_ends_the_rest_of_the_one_before() -> None:
    (one,) = decide(pending(NOW - SECOND), quiet=None).accepted
    assert (one.not_before, one.debounced_since) == (None, None)


def test_what_was_to_go_at_once_is_not_held_up_by_a_wish_that_rests() -> None:
    (one,) = decide(pending(None)).accepted
    assert (one.not_before, one.debounced_since) == (None, None)


def test_a_job_on_its_way_is_the_end_of_its_storm() -> None:
    (one,) = decide(Standing(1, 7, running=True, debounced_since=NOW - 14 * SECOND)).accepted
    assert (one.not_before, one.debounced_since) == (NOW + 2 * SECOND, NOW)


@pytest.mark.parametrize("wait", [1, 30])
def test_a_write_that_may_still_be_at_work_is_waited_for_whatever_the_rest(wait: int) -> None:
    (one,) = decide(pending(NOW, not_before=NOW + wait * SECOND)).accepted
    assert one.not_before == NOW + max(2, wait) * SECOND
