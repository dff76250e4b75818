"""The refresher: each quota of the policy at its pace, once, whoever looks."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from api_adapter.outcomes import Operation
from schemas.jobs import JobKind, JobState
from schemas.policy import Policy
from tests.integration.executor_rig import rigged
from tests.integration.oversight_rig import CHAT, VOICE, Centre, event, quota_rule, serve
from tests.integration.planner_rig import days_pass
from tests.integration.store_rig import change, tried, write
from tests.integration.store_rig import take_one as take_this
from worker.configuration.oversight import ReconcileOptions
from worker.configuration.remotes import NoRemote
from worker.core.decisions import Fail
from worker.core.policy import quota_wish
from worker.loops.refresher import Refresher
from worker.store.engine import Database, database_now
from worker.store.tables import jobs, quota_answers

HOUR = timedelta(hours=1)
RULE = quota_rule()
RESOURCE = quota_wish(RULE).resource


def refresher(store: Database, **options: Any) -> Refresher:
    return Refresher(store, ReconcileOptions.model_validate(options), serve)


@pytest.fixture
def quota(store: Database) -> Database:
    """The policy in force asks for one quota."""
    Centre(store, Policy(quotas=(RULE,))).plan()
    return store


def asked(store: Database) -> list[int]:
    with store.read() as session:
        found = select(jobs.c.id).where(jobs.c.kind == JobKind.QUOTA_RECALCULATION).order_by(jobs.c.id)
        return list(session.execute(found).scalars())


def end_all(store: Database) -> None:
    """Nothing is under way any more."""
    change(store, asked(store), state=JobState.SUCCEEDED)


def answer(store: Database, value: int, hours_ago: float, period_ends_in: float | None = None) -> None:
    with store.write() as session:
        now = database_now(session)
        row = {
            "resource": RESOURCE,
            "scorecard_template_name": RULE.template,
            "usecase_name": RULE.usecase,
            "total_agent_quota": value,
            "total_active_agents_count": 1,
            "answered_at": now - hours_ago * HOUR,
            "period_start": None,
            "period_end": None if period_ends_in is None else now + period_ends_in * HOUR,
            "job_id": 1,
        }
        session.execute(insert(quota_answers), [row])


def test_a_quota_that_was_never_asked_for_is_asked_for_once(quota: Database) -> None:
    assert refresher(quota).run_once() == 1
    assert refresher(quota).run_once() == 0
    days_pass(quota, 9)
    assert refresher(quota).run_once() == 0
    assert len(asked(quota)) == 1


def test_it_is_asked_for_again_at_the_pace_and_later_while_the_answer_stays_the_same(quota: Database) -> None:
    answer(quota, 7, hours_ago=0.9)
    assert refresher(quota).run_once() == 0
    days_pass(quota, 0.2 / 24)
    answer(quota, 7, hours_ago=0)
    assert refresher(quota).run_once() == 0
    days_pass(quota, 1.9 / 24)
    assert refresher(quota).run_once() == 0
    days_pass(quota, 0.3 / 24)
    assert refresher(quota).run_once() == 1


def test_another_answer_whoever_asked_for_it_brings_back_the_pace(quota: Database) -> None:
    for hours_ago in (90, 60, 30):
        answer(quota, 7, hours_ago)
    answer(quota, 8, hours_ago=0.9)
    assert refresher(quota).run_once() == 0
    days_pass(quota, 0.2 / 24)
    assert refresher(quota).run_once() == 1


def test_it_is_asked_for_when_its_period_is_over(quota: Database) -> None:
    answer(quota, 7, hours_ago=0.5, period_ends_in=0.1)
    assert refresher(quota).run_once() == 0
    days_pass(quota, 0.2 / 24)
    assert refresher(quota).run_once() == 1


def test_what_failed_is_not_asked_for_at_every_look(quota: Database) -> None:
    answer(quota, 7, hours_ago=50)
    assert refresher(quota).run_once() == 1
    (job,) = asked(quota)
    write(quota, tried(take_this(quota, job), Fail("refused", "no")))
    assert refresher(quota).run_once() == 0
    days_pass(quota, 1.1 / 24)
    assert refresher(quota).run_once() == 1


def test_a_usecase_may_have_a_slower_or_a_quicker_pace(quota: Database) -> None:
    answer(quota, 7, hours_ago=3)
    assert refresher(quota, usecases={VOICE: "6h"}).run_once() == 0
    assert refresher(quota, every="6h", usecases={CHAT: "1h"}).run_once() == 0
    assert refresher(quota, every="6h", usecases={VOICE: "2h"}).run_once() == 1


def test_refreshers_at_once_ask_once(quota: Database) -> None:
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda _: refresher(quota).run_once(), range(8))) == 1
    assert len(asked(quota)) == 1


def test_what_nobody_serves_waits_until_somebody_does(quota: Database) -> None:
    nobody = Refresher(quota, ReconcileOptions(), lambda customer: NoRemote(customer, "nobody"))
    assert nobody.run_once() == 0
    assert asked(quota) == []
    assert refresher(quota).run_once() == 1


def test_without_a_policy_nothing_is_asked(store: Database) -> None:
    assert refresher(store).run_once() == 0


def test_rules_that_ask_the_same_ask_once(store: Database) -> None:
    Centre(store, Policy(quotas=(RULE, quota_rule("the same for a group", groups=["tier-1"])))).plan()
    assert refresher(store).run_once() == 1
    assert len(asked(store)) == 1


def test_an_answer_that_events_asked_for_counts_and_a_changed_one_is_kept_with_its_history(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            centre = Centre(store, Policy(quotas=(RULE,)))
            centre.tell(event("joined", "ann"))
            centre.plan()
            await rig.run_again(*asked(store))
            assert refresher(store).run_once() == 0
            days_pass(store, 1.1 / 24)
            assert refresher(store).run_once() == 1
            await rig.run_again(*asked(store))
            assert rig.asked().count(Operation.RETRIEVE_QUOTA) == 2

    asyncio.run(scene())
    with store.read() as session:
        assert session.execute(select(func.count()).select_from(quota_answers)).scalar_one() == 2
