"""What becomes of wishes at the door, against a store that has seen others before."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.jobs import JobState
from schemas.lanes import Lane
from tests.integration.store_rig import (
    HOME,
    PLAN,
    applied,
    assert_adds_up,
    batch,
    fates_of,
    given_back,
    job,
    job_ids,
    job_of,
    known,
    lose_lease,
    offer,
    quota_wish,
    remote_target,
    settle,
    states,
    take,
    take_one,
    tried,
    wish,
    write,
)
from worker.core.acceptance import Fate
from worker.core.decisions import Fail, Retry
from worker.intake.accept import PAGE, RowFate
from worker.store.claims import rescue
from worker.store.engine import Database

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PENDING, RUNNING, SUPERSEDED, SUCCEEDED = JobState.PENDING, JobState.RUNNING, JobState.SUPERSEDED, JobState.SUCCEEDED


def test_a_later_wish_supersedes_the_pending_one_of_the_same_page_of_earlier_pages_and_of_other_batches(
    store: Database,
) -> None:
    elsewhere = job_of(store, wish(1, 10))
    fill_the_page = [None] * PAGE
    same_page, newer, later_page = job_ids(store, wish(1, 20), wish(1, 30), *fill_the_page, wish(1, 40))
    assert states(store, [elsewhere, same_page, newer, later_page]) == [SUPERSEDED, SUPERSEDED, SUPERSEDED, PENDING]
    assert [job(store, one).superseded_by for one in (elsewhere, same_page, newer)] == [same_page, newer, later_page]
    assert_adds_up(store)
    assert batch(store, 1).completed_at is not None


def test_with_as_of_the_latest_wins_in_any_order_of_arrival_and_a_tie_goes_to_the_later_arrival(
    store: Database,
) -> None:
    offered = [(10, NOON), (20, NOON + MINUTE), (30, NOON), (40, NOON + MINUTE), (50, NOON - MINUTE)]
    ids = [job_ids(store, wish(1, value, as_of=as_of))[0] for value, as_of in offered]
    assert states(store, ids) == [SUPERSEDED, SUPERSEDED, SUPERSEDED, PENDING, SUPERSEDED]
    assert [job(store, one).superseded_by for one in ids] == [ids[1], ids[3], ids[1], None, ids[3]]
    assert_adds_up(store)


def test_a_wish_without_as_of_is_newer_than_all_that_were_accepted_even_than_one_whose_clock_is_ahead(
    store: Database,
) -> None:
    ahead = datetime.now(UTC) + 4 * MINUTE  # noqa: TID251 - what a producer with a fast clock says
    (first,) = job_ids(store, wish(1, 10, as_of=ahead))
    (second,) = job_ids(store, wish(1, 20))
    (third,) = job_ids(store, wish(1, 30, as_of=ahead))
    assert states(store, [first, second, third]) == [SUPERSEDED, PENDING, SUPERSEDED]


def test_a_first_wish_from_before_1970_is_queued(store: Database) -> None:
    (old,) = job_ids(store, wish(1, 10, as_of=datetime(1969, 1, 1, tzinfo=UTC)))
    (older,) = job_ids(store, wish(1, 10, as_of=datetime(1968, 1, 1, tzinfo=UTC)))
    assert states(store, [old, older]) == [PENDING, SUPERSEDED]


def test_an_as_of_far_in_the_future_is_refused(store: Database) -> None:
    receipt = offer(store, wish(1, 10, as_of=datetime.now(UTC) + 6 * MINUTE))  # noqa: TID251 - as above
    assert (receipt.accepted, receipt.rejected) == (0, 1)
    assert_adds_up(store)


def test_a_wish_that_the_remote_is_known_to_hold_is_unchanged_and_supersedes_what_is_pending(store: Database) -> None:
    settle(store, wish(1, 10))
    (other,) = job_ids(store, wish(1, 20))
    (same,) = job_ids(store, wish(1, 10))
    assert states(store, [other, same]) == [SUPERSEDED, SUCCEEDED]
    assert job(store, same).result == "unchanged"
    assert_adds_up(store)
    assert fates_of(store, wish(1, 10), forced=True)[0].fate is Fate.QUEUED


def test_values_are_compared_as_the_32_bit_floats_that_travel(store: Database) -> None:
    settle(store, wish(1, 33.333333333))
    assert fates_of(store, wish(1, 33.333332))[0].fate is Fate.UNCHANGED


def test_a_wish_is_not_unchanged_while_another_is_running(store: Database) -> None:
    settle(store, wish(1, 10))
    take(store, *job_ids(store, wish(1, 20)))
    assert fates_of(store, wish(1, 10))[0].fate is Fate.QUEUED


@pytest.mark.parametrize(
    "doubt",
    [
        pytest.param(Retry(timedelta(0), failure=True, read_first=True), id="an attempt without an answer"),
        pytest.param(Fail("exhausted", "gave up", doubtful=True), id="a last attempt without an answer"),
        pytest.param(None, id="a lost worker"),
    ],
)
def test_after_an_attempt_in_doubt_nothing_is_unchanged(store: Database, doubt: Retry | Fail | None) -> None:
    settle(store, wish(1, 10))
    held = take_one(store, job_of(store, wish(1, 20)))
    if doubt:
        write(store, tried(held, doubt))
    else:
        lose_lease(store, held.id)
        with store.write() as session:
            assert rescue(session) == [held.id]
    target = known(store, 1)
    assert target
    assert target.uncertain
    assert fates_of(store, wish(1, 10))[0].fate is Fate.QUEUED


def test_after_an_attempt_that_certainly_did_nothing_what_was_known_still_is(store: Database) -> None:
    settle(store, wish(1, 10))
    held = take_one(store, job_of(store, wish(1, 20)))
    write(store, tried(held, Retry(timedelta(0), failure=True)))
    assert fates_of(store, wish(1, 10))[0].fate is Fate.UNCHANGED


@pytest.mark.parametrize(
    ("said", "field", "reason"),
    [
        ({"coaching_plan_name": ""}, "coachingPlanName", f"this target belongs to {PLAN}"),
        ({"criterion_or_chapter_id": ""}, "criterionOrChapterId", "this target is for c"),
    ],
)
def test_a_wish_that_would_widen_a_known_target_is_refused(
    store: Database, said: dict[str, str], field: str, reason: str
) -> None:
    settle(store, wish(1, 10))
    (refused,) = fates_of(store, wish(1, 20, **said))
    assert (refused.fate, refused.field, refused.job_id) == (Fate.REFUSED, field, None)
    assert refused.reason
    assert reason in refused.reason
    assert_adds_up(store)


def test_a_repeated_request_key_leads_to_the_first_job_whatever_has_happened_since(store: Database) -> None:
    first = wish(1, 10, request_key="k-1", coaching_plan_name="")
    (queued,) = job_ids(store, first)
    held = take_one(store, queued)
    write(store, tried(held, Fail("mismatch", "it belongs to a plan", remote_target(wish(1, 10)))))
    again = fates_of(store, first, first)
    assert [(one.fate, one.job_id) for one in again] == [(Fate.REPEATED, queued)] * 2
    assert_adds_up(store)


def test_a_request_key_with_other_content_is_refused_and_the_difference_named(store: Database) -> None:
    offer(store, wish(1, 10, request_key="k-1"))
    conflicts = fates_of(
        store, wish(1, 20, request_key="k-1"), wish(2, 20, request_key="k-2"), wish(2, request_key="k-2")
    )
    assert [one.fate for one in conflicts] == [Fate.REFUSED, Fate.QUEUED, Fate.REFUSED]
    assert conflicts[0].field == "requestKey"
    assert conflicts[0].reason == "was accepted before with other content: target was 10.0, now 20.0"
    assert conflicts[2].reason == "was accepted before with other content: target was 20.0, now 50.0"
    assert_adds_up(store)


def test_rows_that_cannot_be_read_and_customers_without_a_remote_are_counted_with_their_reason(store: Database) -> None:
    stranger = wish(1).model_copy(update={"name": HOME.replace("acme", "other") + "/targets/t"})
    fates: list[RowFate] = []
    receipt = offer(store, None, wish(1), stranger, fates=fates)
    assert (receipt.rows, receipt.accepted, receipt.rejected) == (3, 1, 2)
    assert [(one.row, one.line, one.fate, one.field) for one in fates] == [
        (1, 2, Fate.REFUSED, "target"),
        (2, 3, Fate.QUEUED, None),
        (3, 4, Fate.REFUSED, "name"),
    ]
    assert_adds_up(store)


def test_a_job_takes_its_wishs_priority_for_its_lane_else_the_batchs(store: Database) -> None:
    ids = job_ids(store, wish(1), wish(2, priority=Lane.INTERACTIVE), lane=Lane.BULK)
    assert [job(store, one).lane for one in ids] == ["bulk", "interactive"]


def test_a_quota_asked_twice_is_one_job_and_other_questions_are_others(store: Database) -> None:
    ids = job_ids(
        store,
        quota_wish(),
        quota_wish(),
        quota_wish(usecase_name=f"{HOME}/usecases/u"),
        quota_wish(override_task_complete_config={"evaluatedConversationCountPerAgent": 5}),
        quota_wish(override_task_complete_config={"evaluatedConversationCountPerAgent": 6}),
    )
    assert states(store, ids) == [SUPERSEDED, PENDING, PENDING, PENDING, PENDING]


def test_a_newer_wish_waits_while_the_older_one_runs_and_is_all_that_is_left_when_that_one_comes_back(
    store: Database,
) -> None:
    older, other = take(store, *job_ids(store, wish(1, 10), wish(2, 10)))
    newer, newer_other = job_ids(store, wish(1, 20), wish(2, 20))
    assert take(store, newer, newer_other) == []
    write(store, applied(older), given_back(other))
    assert states(store, [older.id, other.id]) == [SUCCEEDED, SUPERSEDED]
    assert job(store, other.id).superseded_by == newer_other
    assert [one.id for one in take(store, newer, newer_other)] == [newer, newer_other]
    assert_adds_up(store)


def test_an_empty_batch_is_complete_and_no_replay(store: Database) -> None:
    receipt = offer(store)
    assert (receipt.rows, receipt.replayed) == (0, False)
    assert batch(store, receipt.batch_id).completed_at is not None
