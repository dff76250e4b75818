"""Who may work on a job: one holder a resource, one fence a claim; what is left of a holder that died."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from schemas.jobs import JobState
from tests.integration.store_rig import (
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
    settle,
    states,
    take,
    take_one,
    tried,
    wish,
    write,
)
from worker.core.decisions import ALONE_AFTER, AMBIGUOUS_PAUSE, MOST_CRASHES, Retry
from worker.store.claims import rescue, something_expired
from worker.store.engine import Database

PENDING, RUNNING, SUPERSEDED, FAILED = JobState.PENDING, JobState.RUNNING, JobState.SUPERSEDED, JobState.FAILED
LATER = timedelta(hours=1)
IN_DOUBT = Retry(timedelta(0), failure=True, read_first=True)


def test_a_claim_takes_what_is_pending_and_due_with_all_that_its_walk_needs(store: Database) -> None:
    settle(store, wish(2, 10))
    new, seen, later, gone = job_ids(store, wish(1), wish(2, 20), wish(3), wish(4))
    change(store, [later], due_at=datetime.now(UTC) + LATER)  # noqa: TID251 - a state
    change(store, [gone], state=JobState.CANCELLED)
    first, second = take(store, gone, later, seen, new, 99)
    assert (first.id, first.fence, first.attempts, first.known, first.read_first) == (new, 1, 0, None, False)
    assert (second.id, second.resource, second.baseline) == (seen, wish(2).resource, None)
    assert second.known
    assert second.known.target == 10
    assert first.first_sent_at
    assert states(store, [new, later]) == [RUNNING, PENDING]


def test_a_claimed_job_is_nobody_elses_until_it_is_given_back_and_each_claim_has_a_fence_of_its_own(
    store: Database,
) -> None:
    one = job_of(store, wish(1))
    held = take_one(store, one)
    assert take(store, one, owner="m-2") == []
    write(store, given_back(held))
    again = take_one(store, one, owner="m-2")
    assert (held.fence, again.fence) == (1, 2)


def test_a_superseded_wish_is_never_claimed(store: Database) -> None:
    old, new = job_ids(store, wish(1, 10), wish(1, 20))
    assert [one.id for one in take(store, old, new)] == [new]


def test_a_job_that_was_given_back_unsent_is_as_if_it_had_never_been_claimed(store: Database) -> None:
    one = job_of(store, wish(1))
    write(store, given_back(take_one(store, one)))
    row = job(store, one)
    assert (row.state, row.attempts, row.failures, row.crashes) == (PENDING, 0, 0, 0)
    assert (row.first_sent_at, row.lease_owner, row.lease_until, row.published_until) == (None, None, None, None)


def test_the_time_of_the_first_sending_is_kept_through_retries(store: Database) -> None:
    first = take_one(store, job_of(store, wish(1)))
    write(store, tried(first, Retry(timedelta(0), failure=True)))
    again = take_one(store, first.id)
    write(store, given_back(again))
    assert take_one(store, first.id).first_sent_at == first.first_sent_at


def by_its_lease(store: Database, *ids: int) -> None:
    lose_lease(store, *ids)
    with store.write() as session:
        assert sorted(rescue(session)) == sorted(ids)


def by_redelivery(store: Database, *ids: int) -> None:
    assert take(store, *ids, owner="m-1") == []


@pytest.mark.parametrize("come_back", [by_its_lease, by_redelivery])
def test_jobs_of_a_holder_that_died_read_first_after_a_pause(store: Database, come_back: Callable[..., None]) -> None:
    settle(store, wish(1, 5), wish(2, 5))
    ids = job_ids(store, wish(1), wish(2))
    take(store, *ids, owner="m-1")
    come_back(store, *ids)
    rows = [job(store, one) for one in ids]
    assert [(row.state, row.crashes, row.read_first, row.lease_owner) for row in rows] == [(PENDING, 1, True, None)] * 2
    assert all(row.due_at >= row.first_sent_at + AMBIGUOUS_PAUSE for row in rows if row.first_sent_at)
    assert take(store, ids[0]) == []
    let_time_pass(store)
    assert [(one.read_first, one.fence) for one in take(store, *ids, owner="m-2")] == [(True, 2)] * 2
    target = known(store, 1)
    assert target
    assert target.uncertain


def test_who_has_lost_two_workers_is_taken_only_alone(store: Database) -> None:
    ids = job_ids(store, wish(1), wish(2))
    change(store, ids, crashes=ALONE_AFTER)
    assert take(store, *ids) == []
    assert take_one(store, ids[0]).id == ids[0]


def test_the_redelivery_of_another_message_takes_nobodys_lease(store: Database) -> None:
    one = job_of(store, wish(1))
    take_one(store, one, owner="m-1")
    assert take(store, one, owner="m-2") == []
    assert (job(store, one).crashes, job(store, one).state) == (0, RUNNING)


def test_a_newer_wish_supersedes_the_job_of_a_holder_that_died_and_waits_for_what_it_may_have_sent(
    store: Database,
) -> None:
    older = take_one(store, job_of(store, wish(1, 10)))
    newer = job_of(store, wish(1, 20))
    change(store, [newer], published_until=datetime.now(UTC) + LATER)  # noqa: TID251 - its message was turned away
    lose_lease(store, older.id)
    with store.write() as session:
        rescue(session)
    assert states(store, [older.id, newer]) == [SUPERSEDED, PENDING]
    assert job(store, newer).published_until is None
    assert take(store, newer) == []
    let_time_pass(store)
    assert take_one(store, newer).id == newer
    assert_adds_up(store)


def test_a_job_that_kills_every_worker_fails_and_lets_a_newer_wish_go(store: Database) -> None:
    poison = job_of(store, wish(1, 10))
    newer = 0
    for crash in range(MOST_CRASHES):
        take_one(store, poison, owner=f"m-{crash}")
        if crash == MOST_CRASHES - 1:
            newer = job_of(store, wish(1, 20))
            change(store, [newer], published_until=datetime.now(UTC) + LATER)  # noqa: TID251 - as above
        take(store, poison, owner=f"m-{crash}")
        let_time_pass(store)
    row = job(store, poison)
    assert (row.state, row.error_code, row.crashes) == (FAILED, "poison", MOST_CRASHES)
    assert batch(store, 1).completed_at is not None
    assert job(store, newer).published_until is None
    assert_adds_up(store)


def test_a_lease_that_still_runs_is_left_alone(store: Database) -> None:
    take_one(store, job_of(store, wish(1)))
    with store.write() as session:
        assert not something_expired(session)
        assert rescue(session) == []


def test_one_rescue_takes_all_leases_that_have_ended_and_counts_each_batch(store: Database) -> None:
    first, second = job_of(store, wish(1, 10)), job_of(store, wish(2, 10))
    take(store, first, second)
    change(store, [first], crashes=MOST_CRASHES - 1)
    newer = job_of(store, wish(2, 20))
    lose_lease(store, first, second)
    with store.read() as session:
        assert something_expired(session)
    with store.write() as session:
        assert sorted(rescue(session)) == [first, second]
    assert states(store, [first, second, newer]) == [FAILED, SUPERSEDED, PENDING]
    assert_adds_up(store)


def test_a_wish_that_reads_first_is_told_what_older_ones_in_doubt_may_have_left(store: Database) -> None:
    settle(store, wish(1, 5))
    newest = job_of(store, wish(1, 10))
    for value in (20, 30):
        newest = lost_to_a_newer_one(store, newest, value)
    held = take_one(store, newest)
    assert held.ours == ()  # it was never sent: whatever is there is overwritten
    write(store, tried(held, IN_DOUBT))
    assert take_one(store, newest).ours == (10, 20)


def test_what_was_in_doubt_before_the_target_was_known_again_is_in_doubt_no_more(store: Database) -> None:
    newer = lost_to_a_newer_one(store, job_of(store, wish(1, 10)), 20)
    write(store, applied(take_one(store, newer)))
    third = take_one(store, job_of(store, wish(1, 30)))
    write(store, tried(third, IN_DOUBT))
    assert take_one(store, third.id).ours == ()


def lost_to_a_newer_one(store: Database, older: int, value: float) -> int:
    """The older wish's worker dies after a newer wish was accepted; returns the newer, due."""
    take_one(store, older)
    newer = job_of(store, wish(1, value))
    lose_lease(store, older)
    with store.write() as session:
        rescue(session)
    let_time_pass(store)
    return newer
