"""A worker's wall clock may be hours off: what it leaves is timed by the database's."""

import asyncio
from datetime import timedelta

import pytest

from api_adapter.outcomes import Operation
from schemas.jobs import JobState
from tests.integration.executor_rig import Options, rigged, wish
from tests.integration.store_rig import AT_WORK, WORKER, change
from worker.store.engine import Database
from worker.store.history import history_of
from worker.store.records import record_read

MINUTE = timedelta(minutes=1)
hours_off = pytest.mark.parametrize("ahead", [timedelta(hours=-2), timedelta(hours=2)], ids=["behind", "ahead"])


def sent_within(store: Database, window: timedelta) -> int:
    """As a limiter learns of it that has lost its memory."""
    with store.read() as session:
        return history_of(session, "default", [window]).sent[window]


@hours_off
def test_what_it_has_sent_counts_for_a_limiter_that_has_lost_its_memory_for_as_long_as_a_window_lasts(
    store: Database, ahead: timedelta
) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.let_the_clock_say(ahead)
            await rig.run(*rig.accept(wish(1), wish(2)))
            assert sent_within(store, MINUTE) == 2
            await asyncio.sleep(0.05)
            assert sent_within(store, timedelta(milliseconds=1)) == 0

    asyncio.run(scene())


def test_what_a_loop_has_read_counts_too_whatever_its_clock_says(store: Database) -> None:
    with store.write() as session:
        record_read(session, AT_WORK, WORKER)  # of months ago, it says
    assert sent_within(store, MINUTE) == 1


@hours_off
@pytest.mark.parametrize("minutes", [89, 91], ids=["remembered", "forgotten"])
def test_it_rests_on_a_key_for_as_long_as_the_remote_remembers_it(
    store: Database, ahead: timedelta, minutes: int
) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=True, key_memory=timedelta(minutes=90))) as rig:
            rig.script({"kind": "cut_after"})
            (job,) = rig.accept(wish(1))
            await rig.run(job)
            change(store, [job], first_sent_at=rig.executor.now() - minutes * MINUTE)
            rig.let_the_clock_say(ahead)
            await rig.run_again(job)
            assert rig.job(job).state == JobState.SUCCEEDED
            assert (Operation.GET_TARGET in rig.asked()) == (minutes > 90)

    asyncio.run(scene())
