"""`coachsync jobs retry`: failed jobs get a fresh try, and nothing that is newer suffers from it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from schemas.ids import format_job_id
from schemas.jobs import JobState
from tests.integration.cli_rig import Command
from tests.integration.store_rig import (
    applied,
    assert_adds_up,
    batch,
    change,
    job,
    job_ids,
    job_of,
    known,
    remote_target,
    settle,
    states,
    take,
    take_one,
    tried,
    wish,
    write,
)
from tests.services.stores import on_both, on_sqlite
from worker.core.decisions import Decision, Fail, Retry
from worker.store.engine import Database

pytestmark = on_sqlite

REFUSED = Fail("INVALID_ARGUMENT", "the remote said no")


def fail(store: Database, *ids: int, decision: Decision = REFUSED) -> None:
    write(store, *(tried(claimed, decision) for claimed in take(store, *ids)))


def shown(*ids: int) -> list[str]:
    return [format_job_id(one) for one in ids]


@on_both
def test_a_retried_job_is_due_now_with_all_it_has_cost_forgotten_and_its_batch_is_open_again(
    store: Database, coachsync: Command
) -> None:
    failed, fine = job_ids(store, wish(1), wish(2))
    change(store, [failed], failures=7, crashes=2)
    write(store, tried(take_one(store, failed), REFUSED), applied(take_one(store, fine)))
    assert batch(store, 1).completed_at is not None

    assert coachsync.json("jobs", "retry", failed_name := format_job_id(failed)) == {
        "retried": 1,
        "jobs": [failed_name],
        "skipped": [],
        "dryRun": False,
    }

    again = job(store, failed)
    assert (again.state, again.failures, again.crashes, again.read_first) == ("pending", 0, 0, True)
    assert (again.error_code, again.error, again.finished_at, again.result) == (None, None, None, None)
    assert (batch(store, 1).failed, batch(store, 1).completed_at) == (0, None)
    assert_adds_up(store)

    write(store, applied(take_one(store, failed)))
    assert states(store, [failed]) == [JobState.SUCCEEDED]
    assert batch(store, 1).completed_at is not None
    assert_adds_up(store)


def test_a_retried_job_that_was_never_sent_does_not_read_first(store: Database, coachsync: Command) -> None:
    one = job_of(store, wish(1))
    change(store, [one], state=JobState.FAILED, error_code="other", error="why")
    coachsync("jobs", "retry", format_job_id(one))
    assert job(store, one).read_first is False


@on_both
def test_a_job_whose_resource_has_a_newer_wish_since_stays_failed_and_names_it(
    store: Database, coachsync: Command
) -> None:
    old, other = job_ids(store, wish(1, 10), wish(2, 10))
    fail(store, old, other)
    newer = job_of(store, wish(1, 20))

    said = coachsync.json("jobs", "retry", "--batch", 1, code=1)

    assert said["jobs"] == shown(other)
    assert said["skipped"] == [
        {"job": format_job_id(old), "why": f"a newer wish was accepted since: {format_job_id(newer)}"}
    ]
    assert states(store, [old, other, newer]) == [JobState.FAILED, JobState.PENDING, JobState.PENDING]
    assert_adds_up(store)


def test_a_newer_wish_counts_also_where_it_has_ended(store: Database, coachsync: Command) -> None:
    old = job_of(store, wish(1, 10))
    fail(store, old)
    newer = job_of(store, wish(1, 20))
    write(store, applied(take_one(store, newer)))
    coachsync("jobs", "retry", format_job_id(old), code=1)
    assert states(store, [old]) == [JobState.FAILED]


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.SUCCEEDED, JobState.CANCELLED, JobState.SUPERSEDED])
def test_only_failed_jobs_are_retried(store: Database, coachsync: Command, state: JobState) -> None:
    one = job_of(store, wish(1))
    change(store, [one], state=state)
    said = coachsync.json("jobs", "retry", format_job_id(one), code=1)
    assert said["skipped"] == [{"job": format_job_id(one), "why": f"{state}; only failed jobs are retried"}]
    assert states(store, [one]) == [state]


@on_both
def test_what_was_last_seen_is_what_a_retry_may_replace_so_that_a_change_that_was_reported_can_be_overruled(
    store: Database, coachsync: Command
) -> None:
    settle(store, wish(1, 10))
    ours = job_of(store, wish(1, 20))
    claimed = take_one(store, ours)
    seen = Fail("changed_elsewhere", "somebody set 33", remote_target(wish(1), 33))
    write(store, tried(claimed, Retry(timedelta(0), failure=True, read_first=True)))
    write(store, tried(take_one(store, ours), seen))
    assert job(store, ours).baseline == 10

    coachsync("jobs", "retry", format_job_id(ours))

    assert (target := known(store, 1)) is not None
    assert target.target == 33
    assert job(store, ours).baseline == 33


def test_what_is_in_doubt_is_nothing_that_was_seen(store: Database, coachsync: Command) -> None:
    settle(store, wish(1, 10))
    ours = job_of(store, wish(1, 20))
    write(store, tried(take_one(store, ours), Retry(timedelta(0), failure=True, read_first=True)))
    fail(store, ours, decision=Fail("exhausted", "gave up", doubtful=True))
    change(store, [ours], baseline=7.0)
    coachsync("jobs", "retry", format_job_id(ours))
    assert job(store, ours).baseline == 7


@on_both
def test_a_filter_retries_exactly_what_it_says_and_several_must_all_hold(store: Database, coachsync: Command) -> None:
    first = job_ids(store, wish(1), wish(2))
    second = job_ids(store, wish(3), wish(4))
    fail(store, first[0], second[0])
    fail(store, first[1], second[1], decision=Fail("not_found", "gone"))
    assert coachsync.json("jobs", "retry", "--error", "not_found", "--batch", 2)["jobs"] == shown(second[1])
    assert coachsync.json("jobs", "retry", "--resource", wish(1).name)["jobs"] == shown(first[0])
    assert coachsync.json("jobs", "retry", "--remote", "other")["jobs"] == []
    assert coachsync.json("jobs", "retry", "--remote", "default")["jobs"] == shown(first[1], second[0])


def test_many_are_retried_portion_by_portion_and_all_of_them(
    store: Database, coachsync: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.cli.steer.AT_ONCE", 7)
    ids = job_ids(store, *(wish(number) for number in range(40)))
    fail(store, *ids)
    assert coachsync.json("jobs", "retry", "--batch", 1)["retried"] == 40
    assert Counter(states(store, ids)) == {JobState.PENDING: 40}
    assert_adds_up(store)


def test_a_dry_run_says_the_same_and_changes_nothing(store: Database, coachsync: Command) -> None:
    old, other = job_ids(store, wish(1, 10), wish(2, 10))
    fail(store, old, other)
    job_of(store, wish(1, 20))

    said = coachsync("jobs", "retry", "--batch", 1, "--dry-run", code=1)
    would = coachsync.json("jobs", "retry", "--batch", 1, "--dry-run", code=1)

    assert said.out.startswith("1 would be retried, 1 not. Nothing was changed.\n")
    assert states(store, [old, other]) == [JobState.FAILED, JobState.FAILED]
    assert batch(store, 1).completed_at is not None
    assert would == {**coachsync.json("jobs", "retry", "--batch", 1, code=1), "dryRun": True}


def test_nobody_retries_everything_by_naming_nothing(coachsync: Command) -> None:
    said = coachsync("jobs", "retry", code=2)
    assert said.err == (
        "error: JOB: name the jobs, or choose them with --batch, --resource, --remote, --lane or --error\n"
    )


def test_names_and_filters_together_are_refused(coachsync: Command) -> None:
    assert "not both" in coachsync("jobs", "retry", "1-1", "--batch", 1, code=2).err


def test_an_unknown_job_is_refused_before_anything_is_changed(store: Database, coachsync: Command) -> None:
    one = job_of(store, wish(1))
    fail(store, one)
    said = coachsync("jobs", "retry", format_job_id(one), "9-9", code=2)
    assert said.err == "error: JOB: there is no job 9-9; nothing was changed\n"
    assert states(store, [one]) == [JobState.FAILED]


def test_people_are_told_whom_it_left_out_and_why(store: Database, coachsync: Command) -> None:
    done = job_of(store, wish(1))
    change(store, [done], state=JobState.SUCCEEDED, finished_at=datetime(2026, 1, 1, tzinfo=UTC))
    said = coachsync("jobs", "retry", format_job_id(done), code=1)
    assert said.out.splitlines()[0] == "0 retried, 1 not."
    assert "1-1  succeeded; only failed jobs are retried" in said.out
