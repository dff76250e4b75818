"""The process dies at each step of a creation, and the remote has one target at the end, never two.

No key is rested on where a remote is not said to honour them: what may have been created is looked for first.
"""

import asyncio
from contextlib import suppress

import pytest

from api_adapter.idempotency import idempotency_key
from api_adapter.outcomes import Answered, Operation
from schemas.coaching import Target
from schemas.ids import format_job_id
from schemas.jobs import JobState, TargetCreation
from schemas.lanes import Lane
from tests.integration.executor_rig import Options, Rig, rigged
from tests.integration.store_rig import WORKER, assert_adds_up, let_time_pass, take_one, tried
from tests.integration.test_executor_crashes import PERMIT, Died, both_ways, rescued
from tests.integration.test_executor_kinds import NEW, known_names, made
from worker.core.decisions import MOST_CRASHES, Succeed
from worker.core.resolution import compose_creation
from worker.store.claims import Claimed
from worker.store.dispatching import take_due
from worker.store.engine import Database
from worker.store.records import Record, record


async def create(rig: Rig, job: Claimed) -> Record:
    """As the walk sends it: the same request under the same key."""
    wish = TargetCreation.model_validate_json(job.wish)
    key = idempotency_key(format_job_id(job.id), salt=rig.executor.salt)
    outcome = await rig.access.client.create_target(PERMIT, wish.profile, compose_creation(wish), key)
    assert isinstance(outcome, Answered)
    assert isinstance(outcome.value, Target)
    return tried(job, Succeed("created", outcome.value))


def creations(rig: Rig) -> int:
    """By the ledger: what was written, whatever is there now."""
    names = {target.name for target in rig.sandbox.state.targets.values() if target.coaching_plan_name}
    mine = {name for name in names if rig.sandbox.state.targets[name].coaching_plan_name == NEW.coaching_plan_name}
    return sum(len(rig.sandbox.ledger.effects_of(name)) for name in mine)


async def assert_created_once(rig: Rig, job: int) -> None:
    await rig.run_again(job)
    assert rig.job(job).state == JobState.SUCCEEDED, rig.job(job).error
    assert (made(rig), creations(rig), len(known_names(rig.store))) == ([82.5], 1, 1)
    assert_adds_up(rig.store)


@both_ways
def test_before_the_message_and_before_the_claim(store: Database, *, trusts_keys: bool) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            (job,) = rig.accept(NEW)
            with store.write() as session:
                assert take_due(session, "default", Lane.BULK, 10).together == [job]
            await assert_created_once(rig, job)
            assert rig.asked() == [Operation.CREATE_TARGET]

    asyncio.run(scene())


@both_ways
def test_between_the_claim_and_sending(store: Database, *, trusts_keys: bool) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            (job,) = rig.accept(NEW)
            take_one(store, job)
            assert rescued(store, job) == [job]
            await assert_created_once(rig, job)
            assert (Operation.LIST_TARGETS in rig.asked()) != trusts_keys

    asyncio.run(scene())


@both_ways
def test_between_sending_and_recording(store: Database, *, trusts_keys: bool) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            (job,) = rig.accept(NEW)
            await create(rig, take_one(store, job))
            assert rescued(store, job) == [job]
            await assert_created_once(rig, job)
            assert rig.asked().count(Operation.CREATE_TARGET) == 1 + int(trusts_keys)
            assert rig.sandbox.ledger.replays == int(trusts_keys)

    asyncio.run(scene())


@both_ways
def test_while_the_remote_is_still_at_it(store: Database, *, trusts_keys: bool) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            rig.script({"kind": "delay", "delay": 0.3})
            (job,) = rig.accept(NEW)
            request = asyncio.create_task(create(rig, take_one(store, job)))
            await rig.arrival()
            assert rescued(store, job) == [job]
            assert (await rig.run(job)).claimed == 0, "a rescued job waits for what may be on its way"
            await request
            await assert_created_once(rig, job)

    asyncio.run(scene())


@both_ways
def test_in_the_middle_of_recording(store: Database, *, trusts_keys: bool) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            (job,) = rig.accept(NEW)
            created = await create(rig, take_one(store, job))
            with suppress(Died), store.write() as session:
                record(session, [created], WORKER)
                raise Died
            assert known_names(store) == set()
            assert rescued(store, job) == [job]
            await assert_created_once(rig, job)

    asyncio.run(scene())


def test_recorded_but_never_told_so(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            (job,) = rig.accept(NEW)
            created = await create(rig, take_one(store, job))
            for _ in range(2):
                with store.write() as session:
                    record(session, [created], WORKER)
            assert rig.job(job).state == JobState.SUCCEEDED
            assert (creations(rig), len(known_names(store))) == (1, 1)
            assert_adds_up(store)

    asyncio.run(scene())


def test_while_it_is_looked_for(store: Database) -> None:
    """A look changes nothing: the next one begins anew, and finds what the first process has made."""

    async def scene() -> None:
        async with rigged(store) as rig:
            (job,) = rig.accept(NEW)
            await create(rig, take_one(store, job))
            assert rescued(store, job) == [job]
            rig.always({"kind": "delay", "delay": 5})
            looking = asyncio.create_task(rig.run_again(job, message="its message"))
            async with asyncio.timeout(10):
                while Operation.LIST_TARGETS not in rig.asked():  # noqa: ASYNC110 - a ledger sets no event
                    await asyncio.sleep(0.005)
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            rig.script()
            assert (await rig.run(job, message="its message")).claimed == 0
            await assert_created_once(rig, job)

    asyncio.run(scene())


def test_a_message_that_comes_twice_creates_once(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            other = await rig.beside()
            (job,) = rig.accept(NEW)
            summaries = await asyncio.gather(rig.run(job), other.run(job))
            assert sum(summary.claimed for summary in summaries) == 1
            await assert_created_once(rig, job)

    asyncio.run(scene())


@pytest.mark.parametrize("sends", [True, False], ids=["after sending", "before sending"])
def test_a_creation_that_kills_each_worker_ends_as_poison_with_one_target_at_most(
    store: Database, *, sends: bool
) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            (job,) = rig.accept(NEW)
            one = take_one(store, job)
            if sends:
                await create(rig, one)
            for _ in range(MOST_CRASHES - 1):
                rescued(store, job)
                let_time_pass(store)
                take_one(store, job)
            rescued(store, job)
            assert (rig.job(job).state, rig.job(job).error_code) == (JobState.FAILED, "poison")
            assert creations(rig) == int(sends)
            assert_adds_up(store)

    asyncio.run(scene())
