"""One attempt of one job, by what the remote answers: the state it leaves, and what comes of the next attempt."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from api_adapter.outcomes import Operation
from schemas.jobs import JobState, QuotaRecalculation
from schemas.names import profile_of
from tests.integration.executor_rig import HURRIED, REQUEST_TIMEOUT, TARGETS, Options, rigged, wish
from tests.integration.store_rig import assert_adds_up
from worker.core.decisions import MOST_FAILURES
from worker.store.engine import Database, database_now
from worker.store.tables import attempts, quota_answers

UNCERTAIN = {
    "an error before the write": {"kind": "status", "status": 502},
    "an error after the write": {"kind": "status", "status": 502, "written": True},
    "an unknown error": {"kind": "status", "status": 500},
    "out of time before the write": {"kind": "status", "status": 504},
    "a conflict": {"kind": "status", "status": 409},
    "a line cut before the write": {"kind": "cut_before"},
    "a line cut after the write": {"kind": "cut_after"},
    "half an answer": {"kind": "garbage"},
    "a proxy's page after the write": {"kind": "html", "status": 200, "written": True},
    "a proxy's page before the write": {"kind": "html", "status": 502},
    "an answer that comes too late": {"kind": "delay", "delay": 0.9},
}
FINAL = {
    "a bad request": ({"kind": "status", "status": 400}, "INVALID_ARGUMENT"),
    "nothing there": ({"kind": "status", "status": 404}, "not_found"),
    "no such method": ({"kind": "status", "status": 405}, "unsupported"),
    "no such operation": ({"kind": "status", "status": 501}, "unsupported"),
    "another answer than asked": ({"kind": "wrong_echo"}, "mismatch"),
}
QUOTA = QuotaRecalculation(scorecard_template_name=f"{profile_of(TARGETS[0].name)}/scorecardTemplates/empathy@1")


def _table(cases: Mapping[str, Any]) -> Any:
    return pytest.mark.parametrize("case", cases.values(), ids=[name.replace(" ", "_") for name in cases])


def test_an_answer_as_asked_is_success_and_known(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            (job,) = rig.accept(wish(5, 81.5))
            summary = await rig.run(job)
            assert (summary.claimed, summary.recorded, summary.given_back) == (1, 1, 0)
            assert (rig.job(job).state, rig.job(job).result) == (JobState.SUCCEEDED, "applied")
            assert rig.value(5) == 81.5
            assert rig.effects(5) == 1
            (again,) = rig.accept(wish(5, 81.5))
            assert rig.job(again).result == "unchanged"
            assert_adds_up(store)

    asyncio.run(scene())


def test_every_call_leaves_an_attempt_that_says_what_came_back(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script({"kind": "cut_after"})
            (job,) = rig.accept(wish(1))
            await rig.run(job)
            await rig.run_again(job)
            with store.read() as session:
                told = session.execute(attempts.select().order_by(attempts.c.id)).all()
            assert [(row.number, row.operation, row.outcome, row.status) for row in told] == [
                (1, "update_target", "ambiguous", None),
                (2, "get_target", "answered", 200),
            ]
            assert {row.request_id for row in told} == {one.request_id for one in rig.sandbox.ledger.arrivals}
            assert rig.job(job).attempts == 2

    asyncio.run(scene())


@_table(FINAL)
def test_what_the_remote_refuses_is_final_with_its_words(store: Database, case: tuple[dict[str, Any], str]) -> None:
    fault, code = case

    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script(fault)
            (job,) = rig.accept(wish(2))
            await rig.run(job)
            assert (rig.job(job).state, rig.job(job).error_code) == (JobState.FAILED, code)
            assert rig.job(job).error
            assert_adds_up(store)

    asyncio.run(scene())


@_table(UNCERTAIN)
@pytest.mark.parametrize("trusts_keys", [False, True], ids=["reads_first", "trusts_the_key"])
def test_an_uncertain_write_is_done_once_however_it_ended(
    store: Database, case: dict[str, Any], *, trusts_keys: bool
) -> None:
    async def scene() -> None:
        late = case["kind"] == "delay"
        timeout = HURRIED if late else REQUEST_TIMEOUT
        async with rigged(store, Options(trusts_keys=trusts_keys, request_timeout=timeout)) as rig:
            rig.script(case)
            (job,) = rig.accept(wish(3, 12.5))
            await rig.run(job)
            after = rig.job(job)
            assert (after.state, after.read_first, after.failures) == (JobState.PENDING, True, 1)
            if late:
                await rig.effect()
            await rig.run_again(job)
            assert rig.job(job).state == JobState.SUCCEEDED
            assert rig.value(3) == 12.5
            assert rig.effects(3) == 1
            assert_adds_up(store)

    asyncio.run(scene())


@pytest.mark.parametrize("written", [False, True])
def test_without_keys_a_doubtful_write_is_looked_at_before_it_is_sent_again(store: Database, *, written: bool) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script({"kind": "cut_after" if written else "cut_before"})
            (job,) = rig.accept(wish(4))
            await rig.run(job)
            await rig.run_again(job)
            update, get = Operation.UPDATE_TARGET, Operation.GET_TARGET
            assert rig.asked() == ([update, get] if written else [update, get, update])
            assert rig.job(job).result == ("already_there" if written else "applied")

    asyncio.run(scene())


def test_where_keys_are_honoured_the_same_key_is_sent_again_and_answered_from_memory(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store, Options(trusts_keys=True)) as rig:
            rig.script({"kind": "cut_after"})
            (job,) = rig.accept(wish(4))
            await rig.run(job)
            await rig.run_again(job)
            assert rig.asked() == [Operation.UPDATE_TARGET] * 2
            assert len({arrival.key for arrival in rig.sandbox.ledger.arrivals}) == 1
            assert rig.sandbox.ledger.replays == 1

    asyncio.run(scene())


@pytest.mark.parametrize("status", [429, 503])
def test_an_announced_wait_is_kept_by_the_job_and_by_the_fleet(store: Database, status: int) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script({"kind": "status", "status": status, "retry_after": "30"})
            (job,) = rig.accept(wish(6))
            await rig.run(job)
            after = rig.job(job)
            assert (after.state, after.read_first, after.failures) == (JobState.PENDING, False, int(status == 503))
            with store.read() as session:
                assert after.due_at > database_now(session) + timedelta(seconds=28)
            assert (await rig.limiter.usage()).cooldown > timedelta(seconds=28)

    asyncio.run(scene())


def test_unavailable_is_tried_again_as_it_is_and_gives_up_after_its_cap(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.always({"kind": "status", "status": 503})
            (job,) = rig.accept(wish(7))
            for failures in range(MOST_FAILURES):
                assert (rig.job(job).state, rig.job(job).failures) == (JobState.PENDING, failures)
                rig.restart()  # no process sees enough to put the remote aside, or is out of retries
                await rig.run_again(job)
            assert (rig.job(job).state, rig.job(job).error_code) == (JobState.FAILED, "exhausted")
            assert set(rig.asked()) == {Operation.UPDATE_TARGET}
            assert_adds_up(store)

    asyncio.run(scene())


def test_a_stopped_remote_has_not_got_the_request(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            (job,) = rig.accept(wish(8))
            gone = rig.access.client
            gone._base_url = "http://127.0.0.1:1"  # nobody listens there
            await rig.run(job)
            after = rig.job(job)
            assert (after.state, after.read_first, after.failures) == (JobState.PENDING, False, 1)

    asyncio.run(scene())


def test_a_quota_is_asked_for_and_kept(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            (job,) = rig.accept(QUOTA)
            await rig.run(job)
            assert (rig.job(job).state, rig.job(job).result) == (JobState.SUCCEEDED, "recalculated")
            with store.read() as session:
                (kept,) = session.execute(quota_answers.select()).all()
            assert kept.total_active_agents_count > 0
            assert kept.total_agent_quota > kept.total_active_agents_count

    asyncio.run(scene())


def test_a_quota_that_failed_is_asked_for_again_as_it_is(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script({"kind": "cut_before"})
            (job,) = rig.accept(QUOTA)
            await rig.run(job)
            assert (rig.job(job).state, rig.job(job).read_first) == (JobState.PENDING, False)
            await rig.run_again(job)
            assert rig.job(job).state == JobState.SUCCEEDED

    asyncio.run(scene())


def test_one_target_that_is_forbidden_to_us_waits_and_then_fails_alone(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.always({"kind": "status", "status": 403}, path="*t-00010")
            forbidden, other = rig.accept(wish(9), wish(8))
            await rig.run(forbidden, other)
            assert (rig.job(forbidden).state, rig.quarantined()) == (JobState.PENDING, None)
            for _ in range(2):
                await rig.run_again(forbidden)
            assert (rig.job(forbidden).state, rig.job(forbidden).error_code) == (JobState.FAILED, "permission_denied")
            assert rig.job(other).state == JobState.SUCCEEDED

    asyncio.run(scene())
