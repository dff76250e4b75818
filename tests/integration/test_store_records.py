"""What became of claimed jobs is written once, by who holds them, with all that hangs on it."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlmodel import col

from schemas.coaching import Quota
from schemas.jobs import JobState, QuotaRecalculation
from tests.integration.store_rig import (
    PLAN,
    WORKER,
    applied,
    assert_adds_up,
    batch,
    change,
    given_back,
    job,
    job_ids,
    job_of,
    known,
    let_time_pass,
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
from worker.core.decisions import Decision, Fail, Retry, Succeed
from worker.store.claims import rescue
from worker.store.engine import Database
from worker.store.models import Attempt, QuotaAnswer
from worker.store.records import Record, Tried, record

PENDING, SUPERSEDED, SUCCEEDED, FAILED = JobState.PENDING, JobState.SUPERSEDED, JobState.SUCCEEDED, JobState.FAILED
LATER = timedelta(minutes=5)
READ = Tried("get_target", datetime(2026, 1, 1, tzinfo=UTC), 1.5, None, "unavailable", "no answer", "r-0")


def attempts(store: Database, of: int) -> list[Attempt]:
    with store.read() as session:
        query = select(Attempt).where(col(Attempt.job_id) == of).order_by(col(Attempt.id))
        return list(session.execute(query).scalars())


def test_success_is_final_with_its_result_its_attempts_and_what_is_now_known(store: Database) -> None:
    held = take_one(store, job_of(store, wish(1, 33.3, qa_score=7)))
    done = applied(held)
    assert write(store, Record(held, done.decision, (READ, *done.tried))) == []
    row = job(store, held.id)
    assert (row.state, row.result, row.attempts, row.lease_owner, row.lease_until) == (
        SUCCEEDED,
        "applied",
        2,
        None,
        None,
    )
    assert row.finished_at
    assert [(one.number, one.operation, one.status, one.outcome, one.worker) for one in attempts(store, held.id)] == [
        (1, "get_target", None, "unavailable", WORKER.name),
        (2, "update_target", 200, "answered", WORKER.name),
    ]
    target = known(store, 1)
    assert target
    assert (target.target, target.qa_score, target.coaching_plan_name) == (33.3, 7, PLAN)
    assert (target.uncertain, target.job_id) == (False, held.id)
    assert_adds_up(store)


def test_failure_is_final_with_its_words_and_what_the_remote_holds_instead(store: Database) -> None:
    mismatched, refused = take(store, *job_ids(store, wish(1, 10), wish(2, 10)))
    there = remote_target(wish(1), 70)
    write(store, tried(mismatched, Fail("mismatch", "it is 70", there)), tried(refused, Fail("INVALID", "no")))
    assert [(row.state, row.error_code, row.error) for row in (job(store, mismatched.id), job(store, refused.id))] == [
        (FAILED, "mismatch", "it is 70"),
        (FAILED, "INVALID", "no"),
    ]
    target = known(store, 1)
    assert target
    assert (target.target, target.uncertain) == (70, False)
    assert known(store, 2) is None
    assert_adds_up(store)


def test_a_retry_waits_and_counts_its_failure_and_keeps_what_was_there_before_the_first_try(store: Database) -> None:
    settle(store, wish(1, 5))
    held = take_one(store, job_of(store, wish(1, 10)))
    write(store, tried(held, Retry(LATER, failure=True, read_first=True)))
    row = job(store, held.id)
    assert (row.state, row.attempts, row.failures, row.read_first, row.baseline) == (PENDING, 1, 1, True, 5)
    assert row.due_at > datetime.now(UTC) + LATER / 2  # noqa: TID251 - the rows' own clock
    assert take(store, held.id) == []
    let_time_pass(store)
    again = take_one(store, held.id)
    write(store, tried(again, Retry(timedelta(0), failure=False)))
    row = job(store, held.id)
    assert (row.attempts, row.failures, row.read_first, row.baseline) == (2, 1, True, 5)
    assert [one.number for one in attempts(store, held.id)] == [1, 2]


def test_a_retry_after_a_newer_wish_is_superseded_and_the_newer_one_may_go_at_once(store: Database) -> None:
    older = take_one(store, job_of(store, wish(1, 10)))
    newer = job_of(store, wish(1, 20))
    change(store, [newer], published_until=datetime.now(UTC) + LATER)  # noqa: TID251 - its message was turned away
    write(store, tried(older, Retry(LATER, failure=False)))
    row = job(store, older.id)
    assert (row.state, row.superseded_by) == (SUPERSEDED, newer)
    assert row.finished_at
    assert job(store, newer).published_until is None
    assert take_one(store, newer).id == newer
    assert_adds_up(store)


def test_a_newer_wish_waits_out_the_doubt_that_an_older_one_left(store: Database) -> None:
    """The older write may still be at work at the remote: sent now, the newer one could arrive first."""
    older = take_one(store, job_of(store, wish(1, 10)))
    newer = job_of(store, wish(1, 20))
    write(store, tried(older, Retry(LATER, failure=True, read_first=True)))
    assert states(store, [older.id, newer]) == [SUPERSEDED, PENDING]
    assert take(store, newer) == []
    let_time_pass(store)
    assert take_one(store, newer).id == newer


@pytest.mark.parametrize(
    "end",
    [
        Succeed("applied", remote_target(wish(1, 10))),
        Fail("INVALID", "no"),
        Retry(timedelta(0), failure=False),
        None,
    ],
)
def test_however_the_older_one_ends_a_newer_wish_that_was_turned_away_may_go_again(
    store: Database, end: Decision | None
) -> None:
    older = take_one(store, job_of(store, wish(1, 10)))
    newer = job_of(store, wish(1, 20))
    change(store, [newer], published_until=datetime.now(UTC) + LATER)  # noqa: TID251 - as above
    write(store, tried(older, end) if end else given_back(older))
    assert job(store, newer).published_until is None


def test_a_late_writer_changes_nothing_and_only_its_attempts_are_kept(store: Database) -> None:
    late = take_one(store, job_of(store, wish(1, 10)))
    lose_lease(store, late.id)
    with store.write() as session:
        rescue(session)
    let_time_pass(store)
    holder = take_one(store, late.id, owner="m-2")
    for decision in (Succeed("applied", remote_target(wish(1, 99))), Fail("no", "no"), Retry(LATER, failure=True)):
        assert write(store, told := tried(late, decision)) == [told]
    assert write(store, given_back(late)) == [given_back(late)]
    row = job(store, late.id)
    assert (row.state, row.fence, row.lease_owner, row.attempts) == ("running", holder.fence, "m-2", 0)
    assert known(store, 1) is None
    assert len(attempts(store, late.id)) == 3
    assert write(store, told := tried(late, Fail("no", "no")), applied(holder)) == [told]
    assert states(store, [late.id]) == [SUCCEEDED]
    assert write(store, told := applied(holder)) == [told]
    assert_adds_up(store)


def test_a_batch_is_complete_with_its_last_job_and_only_then(store: Database) -> None:
    ids = job_ids(store, wish(1), wish(2), wish(3), None)
    for left, held in zip((2, 1, 0), take(store, *ids), strict=True):
        write(store, applied(held))
        assert (batch(store, 1).completed_at is None) == bool(left)
    completed_at = batch(store, 1).completed_at
    offer(store, wish(1, 60))
    assert batch(store, 1).completed_at == completed_at
    assert_adds_up(store)


def test_one_transaction_takes_every_kind_of_end_over_several_batches(store: Database) -> None:
    first = take(store, *job_ids(store, wish(1), wish(2), wish(3)))
    second = take(store, *job_ids(store, wish(4), wish(5), wish(6)))
    newer = job_ids(store, wish(3, 60), wish(6, 60))
    with store.write() as session:
        group = [
            applied(first[0]),
            tried(first[1], Fail("no", "no")),
            given_back(first[2]),
            applied(second[0]),
            tried(second[1], Retry(LATER, failure=True)),
            tried(second[2], Retry(LATER, failure=True)),
        ]
        assert record(session, group, WORKER) == []
    assert states(store, [one.job.id for one in group]) == [
        SUCCEEDED, FAILED, SUPERSEDED, SUCCEEDED, PENDING, SUPERSEDED,
    ]  # fmt: skip
    assert states(store, newer) == [PENDING, PENDING]
    assert (batch(store, 1).completed_at is None, batch(store, 2).completed_at is None) == (False, True)
    assert_adds_up(store)


def test_each_quota_that_was_answered_is_kept(store: Database) -> None:
    for total in (40, 42):
        (held,) = take(store, *job_ids(store, quota_wish(usecase_name="customers/acme/profiles/main/usecases/u")))
        asked = QuotaRecalculation.model_validate_json(held.wish)
        done = Succeed("recalculated", Quota(total_agent_quota=total, total_active_agents_count=7))
        write(store, Record(held, done, (READ,), asked))
    with store.read() as session:
        answers = session.execute(select(QuotaAnswer).order_by(col(QuotaAnswer.id))).scalars().all()
    assert [(one.total_agent_quota, one.total_active_agents_count) for one in answers] == [(40, 7), (42, 7)]
    assert {(one.resource, one.scorecard_template_name, one.usecase_name) for one in answers} == {
        (asked.resource, asked.scorecard_template_name, asked.usecase_name)
    }
    assert_adds_up(store)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_an_answer_with_a_number_that_is_none_ends_the_job_and_proves_nothing(store: Database, number: float) -> None:
    settle(store, wish(1, 5))
    odd, other = take(store, *job_ids(store, wish(1, 10), wish(2, 10)))
    write(store, tried(odd, Fail("mismatch", "it is nan", remote_target(wish(1), number))), applied(other))
    assert states(store, [odd.id, other.id]) == [FAILED, SUCCEEDED]
    target = known(store, 1)
    assert target
    assert (target.target, target.uncertain) == (5, True)


def test_a_nul_in_the_remotes_words_costs_no_record(store: Database) -> None:
    held = take_one(store, job_of(store, wish(1)))
    there = remote_target(wish(1)).model_copy(update={"criterion_or_chapter_id": "a\0b"})
    told = Tried("update_target", datetime(2026, 1, 1, tzinfo=UTC), 1.0, 200, "mismatched", "is a\0b", "r-1")
    write(store, Record(held, Fail("mismatch", "is a\0b", there), (told,)))
    target = known(store, 1)
    assert target
    assert (target.criterion_or_chapter_id, job(store, held.id).error) == ("a\ufffdb", "is a\ufffdb")
    assert [one.message for one in attempts(store, held.id)] == ["is a\ufffdb"]


def test_a_record_whose_commit_was_done_and_its_answer_lost_is_written_once_and_is_not_late(store: Database) -> None:
    held = take_one(store, job_of(store, wish(1)))
    done = applied(held)
    assert write(store, done) == []
    assert write(store, done) == [], "our own record, offered again"
    assert len(attempts(store, held.id)) == 1
    assert_adds_up(store)
