"""Whole chunks: their time, their permits, the remote's quarantine, the budget of retries, a job that breaks."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from api_adapter.rate_limit.permits import Grant, Settled, Usage, Why
from api_adapter.rate_limit.policy import Policy, RateLimit
from api_adapter.sandbox.options import SandboxOptions
from schemas.jobs import JobState
from schemas.lanes import Lane
from tests.integration.executor_rig import Options, rigged, wish
from tests.integration.store_rig import assert_adds_up, change, states
from worker.core.chunks import CHUNK_BUDGET
from worker.core.retry_budget import RetryBudget
from worker.store.dispatching import take_due, take_probe
from worker.store.engine import Database
from worker.store.gate import look
from worker.store.quarantine import find, take_probe_turn
from worker.store.tables import quarantines

DOWN = {"kind": "status", "status": 503}
BUDGET = CHUNK_BUDGET.total_seconds()


class Away:
    """A limiter whose server is gone."""

    async def exchange(self, _lane: Lane, _want: int, _settled: Sequence[Settled] = ()) -> Grant:
        return Grant(retry_in=timedelta(milliseconds=100), why=Why.AWAY)

    async def usage(self) -> Usage:
        return Usage((), 0, 0)


def test_a_chunk_sends_all_its_jobs_and_settles_every_permit(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            jobs = rig.accept(*(wish(number) for number in range(20)))
            summary = await rig.run(*jobs)
            assert (summary.claimed, summary.recorded, summary.given_back) == (20, 20, 0)
            assert set(states(store, jobs)) == {JobState.SUCCEEDED}
            usage = await rig.limiter.usage()
            assert (usage.in_flight, usage.windows[0].used) == (0, 20)
            assert_adds_up(store)

    asyncio.run(scene())


def test_a_chunk_whose_time_is_over_gives_back_the_rest(sqlite_store: Database) -> None:
    async def scene() -> None:
        async with rigged(sqlite_store, Options(limit=30, max_in_flight=4)) as rig:
            jobs = rig.accept(*(wish(number) for number in range(60)))
            with sqlite_store.write() as session:
                take_due(session, "default", Lane.BULK, 100)
            started = time.monotonic()
            summary = await rig.run(*jobs)
            assert time.monotonic() - started > BUDGET - 0.1
            sent = [job for job in jobs if rig.job(job).state == JobState.SUCCEEDED]
            rest = [rig.job(job) for job in jobs if job not in sent]
            assert 0 < len(sent) < 60
            assert all((one.state, one.attempts, one.first_sent_at) == (JobState.PENDING, 0, None) for one in rest)
            assert summary.claimed < 60, "what is not sent soon is not even claimed"
            with sqlite_store.write() as session:
                assert len(take_due(session, "default", Lane.BULK, 100).together) == len(rest)
            assert_adds_up(sqlite_store)

    asyncio.run(scene())


def test_a_chunk_does_not_wait_for_a_limit_that_outlasts_it_and_leaves_its_lane_alone_meanwhile(
    store: Database,
) -> None:
    """A worker process that waits for one remote would be lost to all the others."""

    async def scene() -> None:
        async with rigged(store) as rig:
            rig.limiter.policy = Policy((RateLimit(1, timedelta(hours=1)),), max_in_flight=8)
            jobs = rig.accept(*(wish(number) for number in range(10)))
            started = time.monotonic()
            await rig.run(*jobs)
            assert time.monotonic() - started < BUDGET
            assert set(states(store, jobs)) == {JobState.PENDING}
            with store.read() as session:
                assert look(session, "default", Lane.BULK).paused
                assert not look(session, "default", Lane.INTERACTIVE).paused
            assert (await rig.run(*jobs)).claimed == 0, "a message that was already on its way is let go"
            assert_adds_up(store)

    asyncio.run(scene())


def test_who_has_read_writes_although_the_chunks_time_is_over(sqlite_store: Database) -> None:
    """Ten jobs that must read, under a limit that gives three permits in a chunk's time: some of them get done."""

    async def scene() -> None:
        async with rigged(sqlite_store, Options(limit=4)) as rig:
            jobs = rig.accept(*(wish(number, coaching_plan_name=None) for number in range(10)))
            await rig.run(*jobs)
            assert JobState.SUCCEEDED in states(sqlite_store, jobs)

    asyncio.run(scene())


def test_without_the_limiter_nothing_is_sent_and_nothing_is_lost(sqlite_store: Database) -> None:
    async def scene() -> None:
        async with rigged(sqlite_store) as rig:
            rig.access.limiter = Away()
            rig.access.budget = RetryBudget(tokens=0.0, per_second=0.0)
            jobs = rig.accept(*(wish(number) for number in range(5)))
            summary = await rig.run(*jobs)
            assert summary.recorded == 5
            assert not rig.sandbox.ledger.arrivals
            assert {(rig.job(job).state, rig.job(job).attempts) for job in jobs} == {(JobState.PENDING, 0)}
            assert rig.access.budget.tokens == 0.0, "a try that was never sent pays for no retry"

    asyncio.run(scene())


def test_a_remote_that_lets_nobody_in_is_put_aside_until_a_probe_is_answered(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store, Options(token="another", max_in_flight=2)) as rig:
            jobs = rig.accept(*(wish(number) for number in range(30)))
            summary = await rig.run(*jobs)
            assert summary.tripped
            assert len(rig.sandbox.ledger.arrivals) <= 2, "what was not in flight is not sent any more"
            assert set(states(store, jobs)) == {JobState.PENDING}

            before = len(rig.sandbox.ledger.arrivals)
            with store.write() as session:
                take_due(session, "default", Lane.BULK, 100)
            assert (await rig.run_again(*jobs)).claimed == 0
            assert len(rig.sandbox.ledger.arrivals) == before, "in quarantine only probes go out"
            with store.write() as session:
                assert len(take_due(session, "default", Lane.BULK, 100).together) == 30, "and no row waits for nothing"

            assert not (await rig.run_again(jobs[0], probe=True)).released
            rig.sandbox.api.options = _open_to_all(rig.sandbox.api.options)
            assert (await rig.run_again(jobs[0], probe=True)).released
            await rig.run_again(*jobs)
            assert set(states(store, jobs)) == {JobState.SUCCEEDED}
            assert_adds_up(store)

    asyncio.run(scene())


def test_a_run_of_failures_puts_the_remote_aside_and_one_success_in_between_does_not(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store, Options(max_in_flight=1)) as rig:
            rig.script(*[DOWN] * 9)
            await rig.run(*rig.accept(*(wish(number) for number in range(12))))
            assert rig.quarantined() is None
            rig.restart()
            rig.script(*[DOWN] * 10)
            jobs = rig.accept(*(wish(number) for number in range(20, 40)))
            before = len(rig.sandbox.ledger.arrivals)
            assert (await rig.run(*jobs)).tripped
            assert len(rig.sandbox.ledger.arrivals) - before == 10
            assert rig.quarantined()

    asyncio.run(scene())


def test_after_a_quarantine_one_failure_is_one_failure(sqlite_store: Database) -> None:
    """Its other processes met the same run of failures and heard of no probe."""

    async def scene() -> None:
        async with rigged(sqlite_store, Options(max_in_flight=1)) as rig:
            rig.script(*[DOWN] * 10)
            await rig.run(*rig.accept(*(wish(number) for number in range(12))))
            other = await rig.beside()
            (probe,) = rig.accept(wish(20))
            assert (await other.run(probe, probe=True)).released
            rig.script(DOWN)
            await rig.run(*rig.accept(wish(21), wish(22)))
            assert rig.quarantined() is None

    asyncio.run(scene())


def test_two_processes_that_meet_an_outage_make_one_quarantine_and_one_of_them_says_so(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store, Options(token="another")) as rig:
            other = await rig.beside()
            first, second = rig.accept(wish(1), wish(2))
            summaries = await asyncio.gather(rig.run(first), other.run(second))
            assert sum(summary.tripped is not None for summary in summaries) == 1
            with store.read() as session:
                standing = find(session, "default")
            assert standing
            assert standing.probes == 0

    asyncio.run(scene())


def test_a_probe_that_fails_makes_the_next_one_wait_longer(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store, Options(token="another")) as rig:
            (job,) = rig.accept(wish(1))
            await rig.run(job)
            waits = []
            for _ in range(3):
                _let_the_probe_be_due(store)
                with store.write() as session:
                    assert take_probe_turn(session, "default")
                    assert take_probe(session, "default").together == [job]
                await rig.run(job, probe=True)
                standing = rig.quarantined()
                assert standing
                waits.append(standing.probe_due_at - rig.executor.now())
            assert waits[0] < waits[1] < waits[2]

    asyncio.run(scene())


def test_retries_are_paid_for_by_first_tries(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.access.budget = RetryBudget(tokens=0.0, per_second=0.0)
            rig.script(DOWN)
            (job,) = rig.accept(wish(1))
            await rig.run(job)
            await rig.run_again(job)
            assert len(rig.sandbox.ledger.arrivals) == 1, "nothing has paid for this retry"
            assert (rig.job(job).state, rig.job(job).failures) == (JobState.PENDING, 1)
            await rig.run(*rig.accept(*(wish(number) for number in range(10, 20))))
            await rig.run_again(job)
            assert rig.job(job).state == JobState.SUCCEEDED

    asyncio.run(scene())


def test_a_job_that_meets_a_bug_costs_its_neighbours_nothing(store: Database, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            jobs = rig.accept(*(wish(number) for number in range(20)))
            change(store, [jobs[7]], wish='{"from": "another version of this program"}')
            await rig.run(*jobs)
            fates = dict(zip(jobs, states(store, jobs), strict=True))
            assert fates.pop(jobs[7]) == JobState.RUNNING, "its lease ends, then it goes alone"
            assert set(fates.values()) == {JobState.SUCCEEDED}
            assert (await rig.limiter.usage()).in_flight == 0

    asyncio.run(scene())
    assert [record.action for record in caplog.records if hasattr(record, "action")] == ["job_broke"]


def _open_to_all(options: SandboxOptions) -> SandboxOptions:
    return replace(options, token="")


def _let_the_probe_be_due(store: Database) -> None:
    with store.write() as session:
        session.execute(update(quarantines).values(probe_due_at=datetime(2020, 1, 1, tzinfo=UTC)))
