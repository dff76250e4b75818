"""Between any two commits of the walk the process dies: the state it leaves is made here, then the walk goes on.

At the end the remote has seen each wish once, the batch adds up, and nothing is left over. Workers that are killed for
real are in tests/acceptance.
"""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from api_adapter.idempotency import idempotency_key
from api_adapter.outcomes import Operation
from api_adapter.rate_limit.permits import Permit
from schemas.ids import format_job_id
from schemas.jobs import JobState, TargetUpdate
from schemas.lanes import Lane
from tests.integration.executor_rig import Options, Rig, rigged, wish
from tests.integration.store_rig import (
    WORKER,
    applied,
    assert_adds_up,
    let_time_pass,
    lose_lease,
    open_jobs,
    remote_for,
    rows_of,
    states,
    take,
    take_one,
)
from worker.core.decisions import ALONE_AFTER, MOST_CRASHES
from worker.core.resolution import compose
from worker.intake.accept import Offered, Unreadable, accept
from worker.store.batches import NewBatch
from worker.store.claims import Claimed, rescue
from worker.store.dispatching import take_due
from worker.store.engine import Database
from worker.store.records import record
from worker.store.tables import attempts

PERMIT = Permit("default", Lane.BULK, "of the dead", use_before=float("inf"))
both_ways = pytest.mark.parametrize("trusts_keys", [False, True], ids=["reads_first", "trusts_the_key"])


class Died(Exception):  # noqa: N818 - what happened to the process
    pass


async def send(rig: Rig, job: Claimed) -> None:
    """As the walk sends it: the same request under the same key."""
    asked = compose(TargetUpdate.model_validate_json(job.wish), job.known)
    key = idempotency_key(format_job_id(job.id), salt=rig.executor.salt)
    await rig.access.client.update_target(PERMIT, asked, key)


def rescued(store: Database, *ids: int) -> list[int]:
    """Once their leases have ended."""
    lose_lease(store, *ids)
    with store.write() as session:
        return sorted(rescue(session))


async def assert_done_once(rig: Rig, *jobs: int, numbers: list[int]) -> None:
    for job in jobs:
        await rig.run_again(job)
    assert set(states(rig.store, jobs)) == {JobState.SUCCEEDED}
    assert [rig.effects(number) for number in numbers] == [1] * len(numbers)
    assert_adds_up(rig.store)


@both_ways
def test_before_the_rows_are_accepted(store: Database, *, trusts_keys: bool) -> None:
    """Nothing is there: the producer asks again with the same key. (In the middle of a file: see the batch keys.)"""
    wishes = [wish(number, 42.0) for number in range(3)]

    def dies_on_the_way() -> Iterator[Offered | Unreadable]:
        yield from rows_of(wishes[:1])
        raise Died

    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            with pytest.raises(Died):
                accept(store, dies_on_the_way(), NewBatch("test", Lane.BULK, key="nightly"), remote_for)
            jobs = rig.accept(*wishes, key="nightly")
            assert rig.accept(*wishes, key="nightly") == jobs
            await assert_done_once(rig, *jobs, numbers=[0, 1, 2])

    asyncio.run(scene())


@both_ways
def test_between_accepting_and_the_message(store: Database, *, trusts_keys: bool) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            rig.accept(wish(1))
            with store.write() as session:
                due = take_due(session, "default", Lane.BULK, 10).together
            await assert_done_once(rig, *due, numbers=[1])

    asyncio.run(scene())


@both_ways
def test_between_the_message_and_the_claim(store: Database, *, trusts_keys: bool) -> None:
    """The message is lost: nobody has the row, until it counts as published no more."""

    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            jobs = rig.accept(wish(1))
            with store.write() as session:
                assert take_due(session, "default", Lane.BULK, 10).together == jobs
                assert take_due(session, "default", Lane.BULK, 10).together == []
            await assert_done_once(rig, *jobs, numbers=[1])

    asyncio.run(scene())


def test_a_message_that_comes_twice_is_worked_on_once(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            other = await rig.beside()
            jobs = rig.accept(*(wish(number) for number in range(20)))
            summaries = await asyncio.gather(rig.run(*jobs), other.run(*jobs))
            assert sum(summary.claimed for summary in summaries) == 20
            assert [rig.effects(number) for number in range(20)] == [1] * 20
            assert_adds_up(store)

    asyncio.run(scene())


@both_ways
def test_between_the_claim_and_sending(store: Database, *, trusts_keys: bool) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            (job,) = rig.accept(wish(1))
            take_one(store, job)
            assert rescued(store, job) == [job]
            await assert_done_once(rig, job, numbers=[1])
            assert (Operation.GET_TARGET in rig.asked()) != trusts_keys

    asyncio.run(scene())


@both_ways
def test_between_sending_and_recording(store: Database, *, trusts_keys: bool) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            (job,) = rig.accept(wish(1))
            await send(rig, take_one(store, job))
            assert rescued(store, job) == [job]
            await assert_done_once(rig, job, numbers=[1])
            assert rig.sandbox.ledger.replays == int(trusts_keys)

    asyncio.run(scene())


@both_ways
def test_while_the_remote_is_still_at_it(store: Database, *, trusts_keys: bool) -> None:
    """The dead one's request is held up at the remote, and arrives after its job was rescued."""

    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            rig.script({"kind": "delay", "delay": 0.3})
            (job,) = rig.accept(wish(1))
            request = asyncio.create_task(send(rig, take_one(store, job)))
            await rig.arrival()
            assert rescued(store, job) == [job]
            assert (await rig.run(job)).claimed == 0, "a rescued job waits for what may be on its way"
            await request
            await assert_done_once(rig, job, numbers=[1])

    asyncio.run(scene())


@both_ways
def test_in_the_middle_of_recording(store: Database, *, trusts_keys: bool) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            jobs = rig.accept(wish(1), wish(2))
            claimed = take(store, *jobs)
            for one in claimed:
                await send(rig, one)
            with suppress(Died), store.write() as session:
                record(session, [applied(one) for one in claimed], WORKER)
                raise Died
            with store.read() as session:
                assert session.execute(attempts.select()).all() == []
            assert rescued(store, *jobs) == jobs
            await assert_done_once(rig, *jobs, numbers=[1, 2])

    asyncio.run(scene())


def test_recorded_but_never_told_so(store: Database) -> None:
    """The commit arrived and its answer did not: the recorder writes once more."""

    async def scene() -> None:
        async with rigged(store) as rig:
            (job,) = rig.accept(wish(1))
            one = take_one(store, job)
            await send(rig, one)
            for _ in range(2):
                with store.write() as session:
                    record(session, [applied(one)], WORKER)
            assert rig.job(job).state == JobState.SUCCEEDED
            assert rig.effects(1) == 1
            assert_adds_up(store)

    asyncio.run(scene())


@both_ways
def test_a_childs_lease_is_taken_back_by_the_message_that_comes_again(store: Database, *, trusts_keys: bool) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            (job,) = rig.accept(wish(1))
            await send(rig, take_one(store, job, owner="message"))
            assert (await rig.run(job, message="message")).claimed == 0, "rescued at once; it waits for the remote"
            await assert_done_once(rig, job, numbers=[1])

    asyncio.run(scene())


def test_a_job_that_kills_each_worker_fails_as_poison_and_the_others_are_done(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            poison, *others = rig.accept(*(wish(number) for number in range(5)))
            for _ in range(ALONE_AFTER):
                let_time_pass(store)
                take(store, poison, *others)
                rescued(store, poison, *others)
            await rig.run_again(poison, *others)
            assert set(states(store, [poison, *others])) == {JobState.PENDING}, "from now on each travels alone"
            for _ in range(MOST_CRASHES - ALONE_AFTER):
                let_time_pass(store)
                take_one(store, poison)
                rescued(store, poison)
            assert (rig.job(poison).state, rig.job(poison).error_code) == (JobState.FAILED, "poison")
            await assert_done_once(rig, *others, numbers=[1, 2, 3, 4])

    asyncio.run(scene())


@pytest.mark.parametrize("claim", [1, 2])
def test_a_claim_whose_answer_was_lost_leaves_no_job_to_wait_for_its_lease(store: Database, claim: int) -> None:
    """The commit was done, the connection broke: asked again, the jobs are running, and nobody has them."""

    async def scene() -> None:
        async with rigged(store) as rig:
            jobs = rig.accept(*(wish(number) for number in range(60)))
            with losing_the_answer(store, claim):
                await rig.run(*jobs)
            assert [job for job in jobs if rig.job(job).state == JobState.RUNNING] == []
            async with asyncio.timeout(60):
                while waiting := open_jobs(store):  # on a slow machine the time of one chunk is not enough
                    await rig.run_again(*waiting)
            assert [rig.effects(number) for number in range(60)] == [1] * 60
            assert_adds_up(store)

    asyncio.run(scene())


@contextmanager
def losing_the_answer(store: Database, claim: int) -> Iterator[None]:
    """The commit of the so-many-th claim is done, and its connection lost before anybody knows."""
    claims = itertools.count(1)

    def note(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "first_sent_at=coalesce" in statement:
            connection.info["loses"] = next(claims) == claim

    def lose(connection: Connection) -> None:
        if connection.info.pop("loses", False):
            connection.connection.commit()
            raise OperationalError("COMMIT", {}, psycopg.OperationalError("the connection is lost"))

    event.listen(store.engine, "after_cursor_execute", note)
    event.listen(store.engine, "commit", lose)
    try:
        yield
    finally:
        event.remove(store.engine, "after_cursor_execute", note)
        event.remove(store.engine, "commit", lose)
    assert next(claims) > claim
