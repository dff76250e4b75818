"""A storm in the store: pages of wishes that rest, whoever accepts them and whenever."""

from datetime import datetime, timedelta

from schemas.jobs import JobState
from tests.integration.store_rig import (
    assert_adds_up,
    change,
    job,
    job_of,
    open_jobs,
    quota_wish,
    resting,
    take,
    take_one,
    tried,
    wish,
    write,
)
from worker.core.acceptance import Quiet
from worker.core.decisions import Retry
from worker.store.engine import Database, database_now

SECOND = timedelta(seconds=1)
QUIET = Quiet(2 * SECOND, 15 * SECOND)
QUOTA = quota_wish()


def began(store: Database, ago: timedelta, id_: int) -> datetime:
    """The storm, whose job this is, began so long ago."""
    with store.read() as session:
        since = database_now(session) - ago
    change(store, [id_], debounced_since=since)
    return since


def test_a_storm_in_many_pages_is_one_job_that_rests(store: Database) -> None:
    jobs = [resting(store, QUIET, QUOTA)[0] for _ in range(20)]
    assert open_jobs(store) == jobs[-1:]
    last = job(store, jobs[-1])
    assert last.debounced_since == job(store, jobs[0]).debounced_since
    assert SECOND < last.due_at - last.created_at <= 2 * SECOND
    assert take(store, *jobs) == []
    assert_adds_up(store)


def test_a_storm_that_does_not_end_is_a_job_after_the_longest_wait(store: Database) -> None:
    (first,) = resting(store, QUIET, QUOTA)
    since = began(store, 14 * SECOND, first)
    (second,) = resting(store, QUIET, QUOTA)
    assert job(store, second).due_at == since + 15 * SECOND
    began(store, 60 * SECOND, second)
    (third,) = resting(store, QUIET, QUOTA)
    assert job(store, third).due_at == job(store, third).created_at
    assert [one.id for one in take(store, third)] == [third]


def test_wishes_that_come_while_their_job_is_on_its_way_are_a_storm_of_their_own(store: Database) -> None:
    (first,) = resting(store, QUIET, QUOTA)
    change(store, [first], due_at=began(store, 14 * SECOND, first))
    take_one(store, first)
    (second,) = resting(store, QUIET, QUOTA)
    assert job(store, second).debounced_since == job(store, second).created_at
    assert set(open_jobs(store)) == {first, second}


def test_who_asks_without_rest_has_it_at_once_and_nobody_holds_it_up(store: Database) -> None:
    (resting_one,) = resting(store, QUIET, QUOTA)
    urgent = job_of(store, QUOTA)
    assert job(store, resting_one).superseded_by == urgent
    assert job(store, urgent).due_at == job(store, urgent).created_at
    (joined,) = resting(store, QUIET, QUOTA)
    assert job(store, joined).due_at == job(store, joined).created_at


def test_a_storm_over_a_doubtful_write_waits_for_it(store: Database) -> None:
    """What may still be at work at the remote must not come in last."""
    sent = take_one(store, job_of(store, wish(1, 10)))
    write(store, tried(sent, Retry(60 * SECOND, failure=True, read_first=True)))
    (newer,) = resting(store, QUIET, wish(1, 20))
    assert job(store, newer).due_at == job(store, sent.id).due_at
    assert job(store, sent.id).state == JobState.SUPERSEDED
    assert_adds_up(store)
