"""Two at once, each in a transaction of its own: whatever the order, one holder a resource and the newest wish wins."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import pytest
from sqlalchemy import text

from schemas.jobs import JobState
from schemas.lanes import Lane
from tests.integration.store_rig import (
    LASTS,
    applied,
    assert_adds_up,
    fates_of,
    job,
    job_ids,
    job_of,
    offer,
    settle,
    states,
    take,
    take_one,
    wish,
    write,
)
from tests.services.processes import wait_until
from worker.core.acceptance import Fate
from worker.store.claims import Claimed, Lease, claim
from worker.store.dispatching import take_due, take_probe, unpublish_all
from worker.store.engine import Database, database_now
from worker.store.quarantine import release

PENDING, RUNNING, SUPERSEDED = JobState.PENDING, JobState.RUNNING, JobState.SUPERSEDED


@contextmanager
def holding(store: Database, *ids: int) -> Iterator[None]:
    """A worker has claimed the jobs and is about to commit."""
    with store.write() as session:
        assert [one.id for one in claim(session, ids, Lease("m-1", LASTS), database_now(session))] == list(ids)
        yield


def wait_until_blocked(store: Database) -> None:
    def blocked() -> bool:
        with store.read() as session:
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            return bool(session.execute(waiting).scalar_one())

    if not store.is_sqlite:  # there the second writer waits at its BEGIN, and it matters not for how long
        wait_until(blocked, "the other transaction waits")


def test_many_claims_of_the_same_jobs_take_each_once(store: Database) -> None:
    ids = job_ids(store, *(wish(target) for target in range(30)))
    start = Barrier(4)

    def claim_all(number: int) -> list[int]:
        start.wait(timeout=90)
        return [one.id for one in take(store, *ids, owner=f"m-{number}")]

    with ThreadPoolExecutor(4) as pool:
        taken = [one for some in pool.map(claim_all, range(4)) for one in some]
    assert sorted(taken) == ids
    assert {job(store, one).fence for one in ids} == {1}


def test_a_wish_beside_one_that_is_just_being_claimed_is_not_unchanged(store: Database) -> None:
    """The claim locks no resource. Taken for unchanged, the newest wish would be overwritten by the older one."""
    settle(store, wish(1, 10))
    older = job_of(store, wish(1, 20))
    with ThreadPoolExecutor(1) as pool:
        with holding(store, older):
            accepting: Future[int] = pool.submit(job_of, store, wish(1, 10))
            wait_until_blocked(store)
        newer = accepting.result(timeout=90)
    assert states(store, [older, newer]) == [RUNNING, PENDING]
    assert_adds_up(store)


def test_a_claim_never_waits_for_an_acceptance_and_takes_nothing_that_it_supersedes(store: Database) -> None:
    older = job_of(store, wish(1, 10))
    other = job_of(store, wish(2, 10))
    if store.is_sqlite:
        pytest.skip("one writer at a time: there is no other transaction to see")
    with store.write() as session:
        session.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": older})
        assert [one.id for one in take(store, older, other)] == [other]


@pytest.mark.postgres
def test_dispatching_probing_and_releasing_wait_for_no_row_that_another_transaction_holds(
    postgres_store: Database,
) -> None:
    held, free = job_ids(postgres_store, wish(1), wish(2))
    with postgres_store.write() as session:
        take_due(session, "default", Lane.BULK, 2)
    with postgres_store.write() as holder:
        holder.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": held})
        with postgres_store.write() as session:
            session.execute(text("SET LOCAL lock_timeout = '1s'"))
            assert unpublish_all(session) == 1
            assert take_due(session, "default", Lane.BULK, 2).together == [free]
            release(session, "default")
            assert take_probe(session, "default").together == [free]
    assert job(postgres_store, held).published_until is not None


def test_two_acceptances_of_one_target_leave_one_pending_wish(store: Database) -> None:
    start = Barrier(4)

    def accept_many(number: int) -> None:
        start.wait(timeout=90)
        for value in range(5):
            offer(store, wish(1, 10 * number + value), wish(2, 10 * number + value))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(accept_many, range(4)))
    with store.read() as session:
        open_jobs = session.execute(text("SELECT resource FROM jobs WHERE state = 'pending' ORDER BY resource"))
        assert [row.resource for row in open_jobs] == [wish(1).name, wish(2).name]
    assert_adds_up(store)


def test_two_acceptances_with_one_request_key_are_one_job_and_a_repeat(store: Database) -> None:
    start = Barrier(2)

    def accept_one(_: int) -> Fate:
        start.wait(timeout=90)
        return fates_of(store, wish(1, 10, request_key="k-1"))[0].fate

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(accept_one, range(2))) == [Fate.QUEUED, Fate.REPEATED]
    assert_adds_up(store)


def test_two_acceptances_with_one_request_key_and_other_content_are_a_job_and_a_refusal(store: Database) -> None:
    start = Barrier(2)

    def accept_one(target: int) -> Fate:
        start.wait(timeout=90)
        return fates_of(store, wish(target, 10, request_key="k-1"))[0].fate

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(accept_one, range(2))) == [Fate.QUEUED, Fate.REFUSED]
    assert_adds_up(store)


def test_the_last_two_jobs_of_a_batch_recorded_at_once_complete_it(store: Database) -> None:
    for _ in range(5):
        ids = job_ids(store, wish(1), wish(2))
        held = [take_one(store, one) for one in ids]
        start = Barrier(2)

        def finish(number: int, held: list[Claimed] = held, start: Barrier = start) -> None:
            start.wait(timeout=90)
            write(store, applied(held[number], 70))

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(finish, range(2)))
        assert_adds_up(store)
