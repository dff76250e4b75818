"""What is created, what is asked for a period, what is sent only where a certain value is expected."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from api_adapter.outcomes import Operation
from api_adapter.sandbox.quota import Period
from schemas.jobs import JobState, QuotaRecalculation, TargetCreation
from schemas.names import profile_of
from tests.integration.executor_rig import HURRIED, REQUEST_TIMEOUT, TARGETS, Options, Rig, rigged, wish
from worker.clock import utc_now
from worker.store.engine import Database, database_now
from worker.store.models import KnownTarget
from worker.store.tables import quota_answers, resources, targets

PROFILE = profile_of(TARGETS[0].name)
NEW = TargetCreation(
    scorecard_template_name=f"{PROFILE}/scorecardTemplates/compliance",
    usecase_name=f"{PROFILE}/usecases/voice",
    coaching_plan_name=f"{PROFILE}/coachingPlans/plan-new",
    target=82.5,
)
WEEK = timedelta(weeks=1)
PERIOD = QuotaRecalculation(
    scorecard_template_name=f"{PROFILE}/scorecardTemplates/empathy@1", usecase_name=f"{PROFILE}/usecases/voice"
)
LEFT_IN_DOUBT = {
    "before_the_write": {"kind": "status", "status": 502},
    "after_the_write": {"kind": "status", "status": 502, "written": True},
    "a_line_cut_before_the_write": {"kind": "cut_before"},
    "a_line_cut_after_the_write": {"kind": "cut_after"},
    "half_an_answer": {"kind": "garbage"},
    "an_answer_that_comes_too_late": {"kind": "delay", "delay": 0.9},
}


def made(rig: Rig) -> list[float]:
    """What the remote has for the coaching plan that NEW is about."""
    there = rig.sandbox.state.targets.values()
    return [target.target for target in there if target.coaching_plan_name == NEW.coaching_plan_name]


def learn(store: Database, name: str, value: float, *, uncertain: bool) -> None:
    """Somebody else's work has shown us this target meanwhile, which is for the same as NEW."""
    with store.write() as session:
        session.add(KnownTarget(name=name, target=value, uncertain=uncertain, known_at=utc_now(), **_identity()))


def known_names(store: Database) -> set[str]:
    with store.read() as session:
        query = select(targets.c.name).where(targets.c.coaching_plan_name == NEW.coaching_plan_name)
        return set(session.execute(query).scalars())


def test_a_target_is_created_and_known_by_the_name_that_the_remote_gave_it(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            (job,) = rig.accept(NEW)
            await rig.run(job)
            assert (rig.job(job).state, rig.job(job).result) == (JobState.SUCCEEDED, "created")
            assert made(rig) == [82.5]
            (name,) = known_names(store)
            with store.read() as session:
                row = session.execute(select(resources).where(resources.c.name == name)).one()
            assert (row.newest_job_id, row.version) == (job, rig.job(job).version)
            (again,) = rig.accept(wish(0).model_copy(update=_identity() | {"name": name, "target": 82.5}))
            assert rig.job(again).result == "unchanged"

    asyncio.run(scene())


@pytest.mark.parametrize("fault", LEFT_IN_DOUBT.values(), ids=LEFT_IN_DOUBT)
def test_a_creation_in_doubt_is_looked_for_and_made_once(store: Database, fault: Mapping[str, Any]) -> None:
    async def scene() -> None:
        late = fault["kind"] == "delay"
        async with rigged(store, Options(request_timeout=HURRIED if late else REQUEST_TIMEOUT)) as rig:
            rig.script(fault, path="/v1/*/targets")
            (job,) = rig.accept(NEW)
            await rig.run(job)
            assert (rig.job(job).state, rig.job(job).read_first) == (JobState.PENDING, True)
            if late:
                await rig.effect()
            await rig.run_again(job)
            assert rig.job(job).state == JobState.SUCCEEDED
            assert made(rig) == [82.5]
            assert Operation.LIST_TARGETS in rig.asked()
            assert len(known_names(store)) == 1

    asyncio.run(scene())


def test_a_creation_in_doubt_is_found_on_a_later_page(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script({"kind": "cut_after"}, {"kind": "empty_page"}, path="/v1/*/targets")
            (job,) = rig.accept(NEW)
            await rig.run(job)
            await rig.run_again(job)
            assert (rig.job(job).result, made(rig)) == ("already_there", [82.5])

    asyncio.run(scene())


def test_what_is_found_with_another_value_is_not_changed_by_a_creation(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script({"kind": "cut_before"})
            (job,) = rig.accept(NEW)
            await rig.run(job)
            other = replace(TARGETS[0], name=f"{PROFILE}/targets/by-hand", **_identity(), target=50.0)
            rig.sandbox.state.put(other)
            await rig.run_again(job)
            assert (rig.job(job).state, rig.job(job).error_code) == (JobState.FAILED, "exists")
            assert made(rig) == [50.0]
            assert known_names(store) == {other.name}

    asyncio.run(scene())


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_remote_that_lists_nothing_gets_no_second_creation(store: Database, status: int) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.script({"kind": "cut_after"}, {"kind": "status", "status": status})
            (job,) = rig.accept(NEW)
            await rig.run(job)
            await rig.run_again(job)
            assert (rig.job(job).state, rig.job(job).error_code) == (JobState.FAILED, "unsupported")
            assert made(rig) == [82.5]

    asyncio.run(scene())


def test_a_creation_whose_worker_died_is_looked_for_first(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            (job,) = rig.accept(NEW)
            rig.always({"kind": "delay", "delay": 5})
            dying = asyncio.create_task(rig.run(job, message="its message"))
            await rig.arrival()
            dying.cancel()
            await asyncio.gather(dying, return_exceptions=True)
            rig.script()
            await rig.run_again(job, message="its message")
            await rig.run_again(job)
            assert rig.job(job).state == JobState.SUCCEEDED
            assert Operation.LIST_TARGETS in rig.asked()
            assert made(rig) == [82.5]

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("there", "uncertain", "state"),
    [(82.5, False, JobState.SUCCEEDED), (50.0, False, JobState.FAILED), (82.5, True, JobState.FAILED)],
    ids=["with this value", "with another", "with nobody knows what"],
)
def test_for_a_target_that_is_known_to_be_there_nothing_is_sent(
    store: Database, there: float, state: JobState, *, uncertain: bool
) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            (job,) = rig.accept(NEW)
            learn(store, f"{PROFILE}/targets/by-hand", there, uncertain=uncertain)
            await rig.run(job)
            one = rig.job(job)
            assert (one.state, rig.asked(), made(rig)) == (state, [], [])
            if state is JobState.SUCCEEDED:
                assert one.result == "known"
            else:
                assert one.error_code == "exists"
                assert "targets/by-hand" in (one.error or "")

    asyncio.run(scene())


@pytest.mark.parametrize("word", ["current", "next"])
def test_a_period_is_looked_up_when_it_is_asked_for(store: Database, word: str) -> None:
    """By the database's clock: the worker's may be years off."""
    with store.read() as session:
        begun = (database_now(session) - timedelta(days=2)).replace(microsecond=0)
    weeks = {"current": Period(begun, begun + WEEK), "next": Period(begun + WEEK, begun + 2 * WEEK)}

    async def scene() -> None:
        async with rigged(store) as rig:
            rig.executor = replace(rig.executor, now=lambda: datetime(2020, 1, 1, tzinfo=UTC))
            template = PERIOD.scorecard_template_name.partition("@")[0]
            rig.sandbox.state.templates[template] = replace(
                rig.sandbox.state.templates[template], periods=tuple(weeks.values())
            )
            (job,) = rig.accept(PERIOD.model_copy(update={"period": word}))
            await rig.run(job)
            assert rig.job(job).state == JobState.SUCCEEDED, rig.job(job).error
            assert rig.asked() == [Operation.RETRIEVE_EVALUATION_PERIODS, Operation.RETRIEVE_QUOTA]
            with store.read() as session:
                answer = session.execute(select(quota_answers)).one()
            assert answer.period_start == weeks[word].start
            assert answer.resource.endswith(f";period={word}")

    asyncio.run(scene())


@pytest.mark.parametrize("word", ["current", "next"])
def test_a_period_that_the_remote_does_not_name_is_said_to_be_missing(store: Database, word: str) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.executor = replace(rig.executor, now=lambda: datetime(2027, 1, 1, tzinfo=UTC))
            (job,) = rig.accept(PERIOD.model_copy(update={"period": word}))
            await rig.run(job)
            assert (rig.job(job).state, rig.job(job).error_code) == (JobState.FAILED, "no_period")
            assert word in (rig.job(job).error or "")

    asyncio.run(scene())


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_remote_without_periods_is_asked_for_its_own_present_one(store: Database, status: int) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rig.always({"kind": "status", "status": status}, path="/v1/*:retrieveEvaluationPeriods")
            now, later = rig.accept(
                PERIOD.model_copy(update={"period": "current"}), PERIOD.model_copy(update={"period": "next"})
            )
            await rig.run(now, later)
            assert rig.job(now).state == JobState.SUCCEEDED
            assert (rig.job(later).state, rig.job(later).error_code) == (JobState.FAILED, "no_period")

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("there", "state", "value"),
    [(60.0, JobState.SUCCEEDED, 42.0), (42.0, JobState.SUCCEEDED, 42.0), (55.0, JobState.FAILED, 55.0)],
    ids=["what was expected", "the wish itself", "something else"],
)
def test_what_expects_a_value_is_sent_only_where_it_is(
    store: Database, there: float, state: JobState, value: float
) -> None:
    async def scene() -> None:
        async with rigged(store, Options()) as rig:
            rig.sandbox.state.put(replace(rig.there(1), target=there))
            (job,) = rig.accept(wish(1, 42.0, expected=60.0))
            await rig.run(job)
            assert rig.job(job).state == state
            assert rig.value(1) == value
            assert rig.asked()[0] == Operation.GET_TARGET
            if state is JobState.FAILED:
                assert rig.job(job).error_code == "changed_elsewhere"
                assert "60 was expected" in (rig.job(job).error or "")

    asyncio.run(scene())


def _identity() -> dict[str, str]:
    return {
        "scorecard_template_name": NEW.scorecard_template_name,
        "usecase_name": NEW.usecase_name,
        "criterion_or_chapter_id": NEW.criterion_or_chapter_id,
        "coaching_plan_name": NEW.coaching_plan_name,
    }
