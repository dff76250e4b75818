"""The real walks die at each of their commits in turn, just before it and just after it; then somebody else goes on.

What a death between two other steps leaves is in test_executor_crashes.py and its neighbours.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import redis
from celery import Celery
from sqlalchemy import func, select

from schemas.jobs import JobState
from schemas.lanes import Lane
from schemas.policy import DriftMode
from schemas.webhooks import EventType
from tests.integration import roster_rig, store_rig
from tests.integration.executor_rig import Options, Rig, rigged, wish
from tests.integration.mortal import Died, Mortal, deaths
from tests.integration.oversight_rig import Centre, Overseen
from tests.integration.store_rig import REMOTE, assert_adds_up, job_ids, let_time_pass, states
from tests.integration.test_executor_crashes import both_ways
from tests.services.stores import empty
from worker.app import make_app
from worker.configuration.oversight import ReconcileOptions
from worker.core.endpoint_filter import EndpointFilter
from worker.intake.accept import PAGE
from worker.loops.dispatcher import CANARY, Dispatcher
from worker.loops.rescuer import Rescuer
from worker.store import endpoints
from worker.store.dispatching import take_due
from worker.store.endpoints import NewEndpoint
from worker.store.engine import Database
from worker.store.tables import batches, drifts, jobs, messages

ENFORCE = ReconcileOptions(target=DriftMode.ENFORCE)


def told(store: Database) -> Counter[str]:
    with store.read() as session:
        return Counter(session.execute(select(messages.c.type)).scalars())


def somebody_listens(store: Database) -> None:
    new = NewEndpoint("ep_1", "https://example.com", None, EndpointFilter(), False, None, 1, "v1", "sealed")  # noqa: FBT003 - not ordered
    with store.write() as session:
        endpoints.create(session, new)


def dies(walk: Callable[[], Any]) -> bool:
    try:
        walk()
    except Died:
        return True
    return False


def test_accepting_dies_at_each_commit_and_the_same_call_with_the_same_key_makes_one_batch(store: Database) -> None:
    wishes = [None] * PAGE + [store_rig.wish(1, 10), store_rig.wish(1, 20), store_rig.wish(2, 10)]
    died = 0
    for mortal in deaths(store):
        died += dies(lambda: store_rig.offer(mortal, *wishes, key="nightly"))  # noqa: B023 - called at once
        receipt = store_rig.offer(store, *wishes, key="nightly")
        assert (receipt.rows, receipt.accepted, receipt.rejected) == (PAGE + 3, 3, PAGE)
        with store.read() as session:
            assert session.execute(select(func.count()).select_from(batches)).scalar_one() == 1
            found = session.execute(select(jobs.c.state)).scalars()
            assert Counter(found) == {JobState.PENDING: 2, JobState.SUPERSEDED: 1}
        assert_adds_up(store)
        empty(store)
    assert died == 2 * 4, "opened, two pages, sealed"


def test_the_roster_s_door_dies_at_its_commit_and_the_same_events_are_taken_once(store: Database) -> None:
    events = [roster_rig.told("joined", "ann"), roster_rig.told("joined", "bob"), roster_rig.told("left", "ann", 1)]
    died = 0
    for mortal in deaths(store):
        died += dies(lambda: roster_rig.submit(mortal, events))  # noqa: B023 - called at once
        receipt = roster_rig.submit(store, events)
        assert receipt.accepted + receipt.duplicates == len(events)
        assert (len(roster_rig.rows(store)), roster_rig.there(store)) == (3, {"bob"})
        empty(store)
    assert died == 2


@both_ways
def test_a_chunk_dies_at_each_commit_and_each_wish_has_one_effect_and_one_message(
    store: Database, *, trusts_keys: bool
) -> None:
    died = 0

    async def scene(mortal: Mortal) -> bool:
        async with rigged(store, Options(trusts_keys=trusts_keys)) as rig:
            somebody_listens(store)
            ids = rig.accept(wish(1), wish(2))
            with store.write() as session:
                assert take_due(session, "default", Lane.BULK, 10).together == ids
            dead = await _dies_in_a_chunk(mortal, rig, ids)
            let_time_pass(store)
            Rescuer(store).run_once()
            await rig.run_again(*ids)
            assert set(states(store, ids)) == {JobState.SUCCEEDED}
            assert [rig.effects(number) for number in (1, 2)] == [1, 1]
            assert told(store) == {EventType.TARGET_UPDATED: 2, EventType.BATCH_COMPLETED: 1}
            assert_adds_up(store)
            return dead

    for mortal in deaths(store):
        died += asyncio.run(scene(mortal))
        empty(store)
    assert died >= 2 * 2, "claimed, recorded"


async def _dies_in_a_chunk(mortal: Mortal, rig: Rig, ids: list[int]) -> bool:
    process = await rig.beside()
    process.executor = replace(process.executor, database=mortal)
    with suppress(Died, ExceptionGroup):
        await process.run(*ids)
    return mortal.dead


def test_a_reconciler_dies_at_each_commit_and_what_was_lost_is_sent_again_once(store: Database) -> None:
    async def scene(mortal: Mortal) -> bool:
        async with rigged(store) as rig:
            it = Overseen(Centre(store), rig, ENFORCE)
            (done,) = rig.accept(wish(1, 81.5))
            await rig.run(done)
            rig.sandbox.state.put(replace(rig.there(1), target=50.0))
            reconciler = replace(it.reconciler(), database=mortal)
            dead = await asyncio.to_thread(lambda: dies(reconciler.run_once))
            await it.pass_over()
            with store.read() as session:
                noted = session.execute(select(drifts.c.job_id)).scalars().all()
            again = it.centre.open_jobs()
            assert (len(noted), noted) == (1, again)
            await rig.run_again(*again)
            assert (rig.value(1), rig.effects(1)) == (81.5, 2)
            assert_adds_up(store)
            return dead

    died = 0
    for mortal in deaths(store):
        died += asyncio.run(scene(mortal))
        empty(store)
    assert died == 2 * 3, "the profile known, its turn taken, its page compared"


@pytest.fixture
def app(valkey: str) -> Any:
    app = make_app(valkey)
    yield app
    app.close()


def test_a_dispatcher_dies_at_each_commit_and_what_it_has_not_brought_comes_when_it_counts_as_published_no_more(
    store: Database, app: Celery, valkey: str
) -> None:
    """Marked and not published; or the broker's loss noticed, its canary set, and nothing taken back."""
    died = 0
    with redis.Redis.from_url(valkey, socket_timeout=5) as client:
        for mortal in deaths(store):
            client.flushall()
            ids = job_ids(store, *(store_rig.wish(number) for number in range(3)))
            died += dies(Dispatcher(mortal, app, client, [REMOTE]).run_once)
            client.delete("coachsync:coachsync.bulk")
            let_time_pass(store)
            assert Dispatcher(store, app, client, [REMOTE]).run_once() == len(ids)
            assert client.exists(CANARY)
            empty(store)
    assert died == 2 * 2, "the loss, the marks"
