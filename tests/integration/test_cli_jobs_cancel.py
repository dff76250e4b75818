"""`coachsync jobs cancel`: pending jobs end unsent; what a worker holds goes on, and is said to."""

from datetime import timedelta

from schemas.ids import format_job_id
from schemas.jobs import JobState
from tests.integration.cli_rig import Command
from tests.integration.store_rig import (
    applied,
    assert_adds_up,
    batch,
    fates_of,
    job,
    job_ids,
    job_of,
    states,
    take,
    take_one,
    tried,
    wish,
    write,
)
from tests.services.stores import on_both, on_sqlite
from worker.core.acceptance import Fate
from worker.core.decisions import Retry
from worker.store.engine import Database

pytestmark = on_sqlite


@on_both
def test_a_cancelled_job_is_never_taken_and_its_batch_completes(store: Database, coachsync: Command) -> None:
    ids = job_ids(store, wish(1), wish(2))
    said = coachsync.json("jobs", "cancel", *map(format_job_id, ids))
    assert said == {"cancelled": 2, "jobs": ["1-1", "1-2"], "skipped": [], "dryRun": False}
    assert states(store, ids) == [JobState.CANCELLED, JobState.CANCELLED]
    assert take(store, *ids) == []
    assert (batch(store, 1).cancelled, batch(store, 1).completed_at is not None) == (2, True)
    assert job(store, ids[0]).finished_at is not None
    assert_adds_up(store)


@on_both
def test_what_a_worker_holds_is_not_cancelled_and_is_reported(store: Database, coachsync: Command) -> None:
    held, waiting = job_ids(store, wish(1), wish(2))
    claimed = take_one(store, held)
    said = coachsync.json("jobs", "cancel", "--batch", 1, code=1)
    assert said["jobs"] == [format_job_id(waiting)]
    assert said["skipped"] == [{"job": format_job_id(held), "why": "running, cannot be cancelled"}]
    assert write(store, applied(claimed)) == []
    assert states(store, [held, waiting]) == [JobState.SUCCEEDED, JobState.CANCELLED]
    assert_adds_up(store)


def test_a_job_that_waits_for_its_next_try_is_cancelled_too(store: Database, coachsync: Command) -> None:
    one = job_of(store, wish(1))
    write(store, tried(take_one(store, one), Retry(timedelta(hours=1), failure=True)))
    coachsync("jobs", "cancel", format_job_id(one))
    assert states(store, [one]) == [JobState.CANCELLED]


def test_what_has_ended_stays_as_it_ended(store: Database, coachsync: Command) -> None:
    one = job_of(store, wish(1))
    write(store, applied(take_one(store, one)))
    said = coachsync.json("jobs", "cancel", format_job_id(one), code=1)
    assert said["skipped"] == [{"job": format_job_id(one), "why": "succeeded already"}]
    assert states(store, [one]) == [JobState.SUCCEEDED]
    assert_adds_up(store)


def test_the_same_wish_can_be_handed_in_again_after_it_was_cancelled(store: Database, coachsync: Command) -> None:
    one = job_of(store, wish(1))
    coachsync("jobs", "cancel", format_job_id(one))
    assert [fate.fate for fate in fates_of(store, wish(1))] == [Fate.QUEUED]


def test_a_dry_run_cancels_nothing(store: Database, coachsync: Command) -> None:
    ids = job_ids(store, wish(1), wish(2))
    take_one(store, ids[0])
    would = coachsync.json("jobs", "cancel", "--lane", "bulk", "--dry-run", code=1)
    assert would["jobs"] == [format_job_id(ids[1])]
    assert states(store, ids) == [JobState.RUNNING, JobState.PENDING]
    assert batch(store, 1).cancelled == 0


def test_nobody_cancels_everything_by_naming_nothing(coachsync: Command) -> None:
    assert "name the jobs, or choose them" in coachsync("jobs", "cancel", code=2).err
