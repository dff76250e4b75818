"""A wait that the remote asks for outlives the memory of the limiter, which is the broker's."""

import asyncio
from datetime import timedelta

from redis.asyncio import Redis

from api_adapter.rate_limit.policy import History
from api_adapter.rate_limit.shared import SharedLimiter
from schemas.jobs import JobState
from schemas.lanes import Lane
from tests.integration.executor_rig import WINDOW, rigged, wish
from tests.integration.store_rig import states
from tests.services.valkey import ValkeyServer
from worker.store.engine import Database
from worker.store.gate import look
from worker.store.history import history_of


def test_a_wait_that_the_remote_asks_for_is_kept_for_a_limiter_that_loses_its_memory(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script({"kind": "status", "status": 429, "retry_after": "60"})
            jobs = rig.accept(*(wish(number) for number in range(30)))
            for _ in range(5):  # a chunk's time may pass before anything is sent, where the disk is slow
                if not rig.asked():
                    await rig.run(*jobs)
            with store.read() as session:
                left = history_of(session, "default", ()).cooldown
                assert all(look(session, "default", lane).paused for lane in Lane)
            assert timedelta(seconds=55) < left <= timedelta(seconds=60)

    asyncio.run(scene())


def test_nobody_sends_before_a_wait_has_passed_though_the_broker_loses_its_memory(
    store: Database, valkey: str, valkey_server: ValkeyServer
) -> None:
    """The wait is no longer than a chunk: nothing but the limiter stands in the way."""

    async def recorded() -> History:
        with store.read() as session:
            return history_of(session, "default", (WINDOW,))

    async def scene() -> None:
        async with rigged(store) as rig, Redis.from_url(valkey) as client:
            rig.access.limiter = SharedLimiter(client, "default", rig.limiter.policy, seed=recorded)
            rig.script({"kind": "status", "status": 429, "retry_after": "2"})
            await rig.run(*rig.accept(wish(0)))
            valkey_server.flush()
            jobs = rig.accept(*(wish(number) for number in range(1, 10)))
            while JobState.PENDING in states(store, jobs):
                await rig.run(*jobs)
            throttled, *others = rig.sandbox.ledger.arrivals
            assert len(others) == len(jobs)
            assert min(one.at for one in others) - throttled.at >= 2

    asyncio.run(scene())
