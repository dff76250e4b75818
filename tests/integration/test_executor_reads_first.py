"""A doubtful write reads first: a person's change is kept, nothing is widened, the newest wish wins."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from api_adapter.outcomes import Operation
from schemas.jobs import JobState
from tests.integration.executor_rig import TARGETS, Options, Rig, rigged, wish
from tests.integration.store_rig import assert_adds_up, change, lose_lease
from worker.configuration.values import KEY_MEMORY
from worker.store.claims import rescue
from worker.store.engine import Database
from worker.store.steering import retry
from worker.store.tables import jobs

CUT_BEFORE = {"kind": "cut_before"}
WITH_PLAN = 5  # this one belongs to a coaching plan, and has a criterion
READ, WRITE = Operation.GET_TARGET, Operation.UPDATE_TARGET


def set_as_a_person(rig: Rig, number: int, value: float) -> None:
    rig.sandbox.state.put(replace(rig.there(number), target=value, update_time=rig.executor.now()))


def test_a_persons_change_after_our_try_is_reported_and_kept(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script(CUT_BEFORE)
            (job,) = rig.accept(wish(1, 42.0))
            await rig.run(job)
            set_as_a_person(rig, 1, 77.0)
            await rig.run_again(job)
            assert (rig.job(job).state, rig.job(job).error_code) == (JobState.FAILED, "changed_elsewhere")
            assert rig.value(1) == 77.0
            assert rig.asked() == [WRITE, READ]

    asyncio.run(scene())


def test_a_look_that_fails_is_taken_again_and_leaves_no_doubt(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script({"kind": "cut_after"}, {"kind": "status", "status": 500}, {"kind": "status", "status": 503})
            (job,) = rig.accept(wish(1, 42.0))
            for _ in range(4):
                await rig.run_again(job)
            assert rig.asked() == [WRITE, READ, READ, READ]
            assert rig.job(job).result == "already_there"

    asyncio.run(scene())


def test_a_change_back_to_what_we_knew_is_no_obstacle(store: Database) -> None:
    """The value of before our try: our write did not arrive."""

    async def scene() -> None:
        async with rigged(store) as rig:
            (first,) = rig.accept(wish(1, 30.0))
            await rig.run(first)
            rig.script(CUT_BEFORE)
            (job,) = rig.accept(wish(1, 42.0))
            await rig.run(job)
            await rig.run_again(job)
            assert (rig.job(job).result, rig.value(1)) == ("applied", 42.0)

    asyncio.run(scene())


def test_what_an_older_wish_in_doubt_has_left_is_no_persons_change(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script({"kind": "cut_after"})
            (older,) = rig.accept(wish(1, 30.0))
            await rig.run(older)
            (newer,) = rig.accept(wish(1, 42.0))
            rig.script(CUT_BEFORE)
            await rig.run_again(newer)
            await rig.run_again(newer)
            assert rig.job(older).state == JobState.SUPERSEDED
            assert (rig.job(newer).result, rig.value(1)) == ("applied", 42.0)

    asyncio.run(scene())


def test_an_identity_that_is_not_stated_is_read_and_kept(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            before = rig.there(WITH_PLAN)
            (job,) = rig.accept(wish(WITH_PLAN, 42.0, coaching_plan_name=None, criterion_or_chapter_id=None))
            await rig.run(job)
            after = rig.there(WITH_PLAN)
            assert rig.job(job).result == "applied"
            assert after.target == 42.0
            assert after.coaching_plan_name == before.coaching_plan_name != ""
            assert after.criterion_or_chapter_id == before.criterion_or_chapter_id != ""
            assert rig.asked() == [READ, WRITE]

    asyncio.run(scene())


def test_an_identity_that_is_known_is_sent_without_reading(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            await rig.run(*rig.accept(wish(WITH_PLAN, 30.0)))
            (job,) = rig.accept(wish(WITH_PLAN, 42.0, coaching_plan_name=None, criterion_or_chapter_id=None))
            await rig.run(job)
            assert rig.asked() == [WRITE, WRITE]
            assert rig.there(WITH_PLAN).coaching_plan_name == TARGETS[WITH_PLAN].coaching_plan_name

    asyncio.run(scene())


def test_a_wish_that_would_widen_what_has_become_known_since_is_never_sent(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script({"kind": "delay", "delay": 0.2})
            (narrow,) = rig.accept(wish(WITH_PLAN, 30.0))
            async with asyncio.TaskGroup() as group:
                group.create_task(rig.run(narrow))
                await rig.arrival()
                (wide,) = rig.accept(wish(WITH_PLAN, 42.0, coaching_plan_name=""))  # nothing is known of it yet
            await rig.run(wide)
            assert (rig.job(wide).state, rig.job(wide).error_code) == (JobState.FAILED, "other_identity")
            assert "coachingPlanName" in (rig.job(wide).error or "")
            assert rig.asked() == [WRITE, READ]
            assert rig.there(WITH_PLAN).coaching_plan_name == TARGETS[WITH_PLAN].coaching_plan_name

    asyncio.run(scene())


def test_a_target_that_is_gone_is_told_so(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.sandbox.state.delete(TARGETS[3].name)
            (job,) = rig.accept(wish(3, coaching_plan_name=None))
            await rig.run(job)
            assert (rig.job(job).state, rig.job(job).error_code) == (JobState.FAILED, "not_found")
            assert rig.asked() == [READ]

    asyncio.run(scene())


def test_a_write_that_lands_after_its_lease_was_lost_is_repaired(store: Database) -> None:
    """A worker hangs in its request; its job is rescued and superseded; its write arrives after the newer one's."""

    async def scene() -> None:
        async with rigged(store, Options(request_timeout=timedelta(minutes=1))) as rig:
            other = await rig.beside()
            rig.script({"kind": "delay", "delay": 1.5})
            (older,) = rig.accept(wish(2, 30.0))
            hanging = asyncio.create_task(rig.run(older))
            await rig.arrival()
            lose_lease(store, older)
            with store.write() as session:
                rescue(session)
            (newer,) = rig.accept(wish(2, 42.0))
            await other.run_again(newer)
            assert rig.value(2) == 42.0
            await hanging
            assert rig.value(2) == 30.0
            repair = _newest(rig, newer)
            await rig.run_again(repair)
            assert (rig.job(repair).state, rig.value(2)) == (JobState.SUCCEEDED, 42.0)
            assert rig.job(older).state == JobState.SUPERSEDED
            assert_adds_up(store)

    asyncio.run(scene())


def _newest(rig: Rig, than: int) -> int:
    with rig.store.read() as session:
        newest: int = session.execute(select(func.max(jobs.c.id))).scalar_one()
    assert newest > than, "no repair was accepted"
    return newest


@pytest.mark.parametrize(
    ("cut", "later", "asked"),
    [
        ("cut_after", timedelta(minutes=89), [WRITE, WRITE]),
        ("cut_after", timedelta(minutes=91), [WRITE, READ]),
        ("cut_before", timedelta(minutes=91), [WRITE, READ, WRITE]),
    ],
    ids=["remembered", "forgotten and there", "forgotten and not there"],
)
def test_past_the_remotes_memory_of_keys_a_retry_reads_and_sends_only_what_still_differs(
    store: Database, cut: str, later: timedelta, asked: list[Operation]
) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=True, key_memory=timedelta(minutes=90))) as rig:
            rig.script({"kind": cut})
            (job,) = rig.accept(wish(1, 42.0))
            await rig.run(job)
            change(store, [job], first_sent_at=rig.executor.now() - later)
            await rig.run_again(job)
            assert (rig.job(job).state, rig.value(1), rig.effects(1)) == (JobState.SUCCEEDED, 42.0, 1)
            assert rig.asked() == asked

    asyncio.run(scene())


def test_past_the_remotes_memory_of_keys_a_persons_change_is_kept(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=True, key_memory=timedelta(minutes=90))) as rig:
            rig.script({"kind": "cut_after"})
            (job,) = rig.accept(wish(1, 42.0))
            await rig.run(job)
            set_as_a_person(rig, 1, 77.0)
            change(store, [job], first_sent_at=rig.executor.now() - timedelta(minutes=91))
            await rig.run_again(job)
            assert (rig.job(job).error_code, rig.value(1)) == ("changed_elsewhere", 77.0)
            assert rig.asked() == [WRITE, READ]

    asyncio.run(scene())


def test_what_a_person_has_tried_anew_is_not_answered_with_what_the_remote_remembers(store: Database) -> None:
    """The remote honours keys: under the old one it would say that all is done, and do nothing."""

    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=True)) as rig:
            rig.script({"kind": "cut_after"})
            (job,) = rig.accept(wish(1, 42.0))
            await rig.run(job)
            set_as_a_person(rig, 1, 77.0)
            change(store, [job], first_sent_at=rig.executor.now() - 2 * KEY_MEMORY)
            await rig.run_again(job)
            assert rig.job(job).error_code == "changed_elsewhere"
            with store.write() as session:
                assert retry(session, [job]).done == (job,)
            await rig.run_again(job)
            assert (rig.job(job).state, rig.value(1)) == (JobState.SUCCEEDED, 42.0)
            assert rig.asked() == [WRITE, READ, READ, WRITE]

    asyncio.run(scene())
