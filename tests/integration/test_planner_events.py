"""Events become quotas and wants: each event once, a storm as one question, whoever plans and whenever they die."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import select
from sqlmodel import Session

from api_adapter.outcomes import Operation
from schemas.jobs import JobKind, JobState
from schemas.policy import Policy
from tests.integration.executor_rig import Rig, rigged
from tests.integration.oversight_rig import (
    CHAT,
    PROFILE,
    Centre,
    event,
    plan_of,
    quota_rule,
    serve,
    snapshot,
    target_rule,
)
from tests.integration.planner_rig import all_asks, identity_of, listed, newest_wishes, target_jobs, wanted, work
from tests.integration.store_rig import assert_adds_up, change, job, let_time_pass
from tests.services.stores import empty
from worker.configuration.oversight import RosterOptions
from worker.configuration.remotes import NoRemote
from worker.loops.planner import Planner
from worker.store.engine import Database, database_now
from worker.store.models import Job
from worker.store.tables import jobs, roster_events

SECOND = timedelta(seconds=1)
UNENDING = {"quiet": "1h", "longest": "1h"}  # however slow the machine, the storm is not over
RESTING = RosterOptions()
THREE = Policy(
    quotas=(
        quota_rule("compliance"),
        quota_rule("empathy", template=f"{PROFILE}/scorecardTemplates/empathy@1"),
        quota_rule("closing", template=f"{PROFILE}/scorecardTemplates/closing@7", period="current"),
        quota_rule("chat", usecase=CHAT),
    )
)


def quota_jobs(store: Database) -> list[Job]:
    with store.read() as session:
        query = select(Job).where(jobs.c.kind == JobKind.QUOTA_RECALCULATION).order_by(jobs.c.id)
        return list(session.execute(query).scalars())


def open_quotas(store: Database) -> list[int]:
    return [one.id for one in quota_jobs(store) if one.state == JobState.PENDING]


def event_states(store: Database) -> Counter[str]:
    with store.read() as session:
        return Counter(session.execute(select(roster_events.c.state)).scalars())


# A storm


def test_five_thousand_who_join_a_usecase_are_one_call_for_each_template(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            centre = Centre(store, THREE, options=RosterOptions.model_validate(UNENDING))
            for part in range(10):
                told = [event("joined", f"a{part}-{number}", part, coachingPlanName="") for number in range(500)]
                assert centre.tell(*told).accepted == 500
                centre.plan()
                await rig.run(*open_quotas(store))
                assert calls(rig) == {}
            assert len(open_quotas(store)) == 3
            let_time_pass(store)
            await rig.run(*open_quotas(store))
            assert calls(rig) == {"compliance@3": 1, "empathy@1": 1, "closing@7": 1}
            assert event_states(store) == {"planned": 5_000}

    asyncio.run(scene())
    assert len(all_asks(store)) == 3 * 5_000
    assert_adds_up(store)


def calls(rig: Rig) -> dict[str, int]:
    """Quota calls that the remote got, by template."""
    got = [one for one in rig.sandbox.ledger.arrivals if one.operation is Operation.RETRIEVE_QUOTA]
    return Counter(one.name.rsplit("/", 1)[-1] for one in got)


def test_a_storm_rests_for_its_quiet_time_and_not_past_the_longest(store: Database) -> None:
    centre = Centre(store, Policy(quotas=(quota_rule(),)), options=RESTING)
    centre.tell(event("joined", "ann"))
    centre.plan()
    (first,) = quota_jobs(store)
    assert first.due_at - first.created_at == 2 * SECOND
    with store.read() as session:
        began = database_now(session) - 14 * SECOND
    change(store, [first.id], debounced_since=began)
    centre.tell(event("joined", "bob"))
    centre.plan()
    _, second = quota_jobs(store)
    assert second.due_at == began + 15 * SECOND
    assert job(store, first.id).superseded_by == second.id


def test_each_event_knows_the_job_that_it_came_to(store: Database) -> None:
    centre = Centre(store, THREE)
    centre.tell(event("joined", "ann"), event("joined", "bob", usecases=[CHAT]))
    centre.plan()
    by_event = {(ask.event_seq, ask.rule) for ask in all_asks(store)}
    assert by_event == {(1, "compliance"), (1, "empathy"), (1, "closing"), (2, "chat")}
    assert {ask.job_id for ask in all_asks(store)} == {one.id for one in quota_jobs(store)}


def test_each_event_knows_the_target_that_it_changed_also_of_who_shares_the_plan(store: Database) -> None:
    centre = Centre(store, ALL)
    both = plan_of("ann")
    centre.tell(event("joined", "ann", groups=["tier-2"]), event("joined", "bob", coachingPlanName=both))
    centre.plan()
    listed(store)
    centre.plan()
    work(store)
    centre.tell(event("left", "ann", 1))
    centre.plan()
    creation, update = target_jobs(store)
    of_targets = [(ask.event_seq, ask.rule, ask.job_id) for ask in all_asks(store) if ask.rule != "voice quota"]
    assert of_targets == [(1, "second tier", creation.id), (3, "everybody", update.id)]
    assert {ask.resource for ask in all_asks(store)} > {identity_of("ann")}


def test_a_quota_that_nobody_serves_holds_up_no_event(store: Database) -> None:
    centre = Centre(store, THREE)
    centre.tell(event("joined", "ann"))
    Planner(store, THREE, RESTING, centre.guard, lambda _: NoRemote("acme", "nobody")).run_once()
    assert event_states(store) == {"planned": 1}
    assert quota_jobs(store) == []


# Once


def everything(centre: Centre) -> None:
    """Two pages of events and more, wants that are to be made and wants that are known."""
    agents = [f"a{number:04}" for number in range(1_100)]
    centre.tell(snapshot(agents, 0))
    centre.tell(*(event("moved", agent, 1, groups=["tier-2"]) for agent in agents[:150]))
    centre.tell(event("left", "a0000", 2), event("changed", "a0001", 2, usecases=[]))


ALL = Policy(quotas=(quota_rule(),), targets=(target_rule("second tier", 85, groups=["tier-2"]), target_rule()))


class _DeadError(Exception):
    pass


class Mortal:
    """A store whose user dies in one of its transactions, just before the commit."""

    def __init__(self, store: Database, transactions: int) -> None:
        self.read = store.read
        self.is_sqlite = store.is_sqlite
        self._store = store
        self._left = transactions

    @contextmanager
    def write(self) -> Iterator[Session]:
        with self._store.write() as session:
            yield session
            self._left -= 1
            if self._left < 0:
                raise _DeadError


def live_and_die(centre: Centre) -> int:
    """Planners that get one transaction further each, until one has nothing left to do; returns how many died."""
    for transactions in range(60):
        mortal = cast("Database", Mortal(centre.store, transactions))
        try:
            Planner(mortal, centre.policy, centre.options, centre.guard, serve).run_once()
        except _DeadError:
            continue
        return transactions
    raise AssertionError("it does not come to an end")


def ends(store: Database) -> tuple[Any, ...]:
    """All that planning comes to: each wish for a target once, each event's asks once."""
    asked = Counter((ask.event_seq, ask.rule, ask.resource) for ask in all_asks(store))
    wished = Counter((one.kind, one.resource, one.wish) for one in target_jobs(store))
    assert set(asked.values()) == set(wished.values()) == {1}
    what = wanted(store)
    assert all(ask.job_id for ask in all_asks(store) if ask.resource in what)
    quotas = Counter(one.state for one in quota_jobs(store))
    return what, {key[:2] for key in wished}, set(asked), quotas["pending"], event_states(store)


def test_a_planner_that_dies_in_any_of_its_transactions_loses_and_doubles_nothing(store: Database) -> None:
    centre = Centre(store, ALL)
    everything(centre)
    deaths = live_and_die(centre)
    listed(store)
    deaths += live_and_die(centre)
    died = ends(store)
    assert deaths > 8

    empty(store)
    everything(centre)
    centre.plan()
    listed(store)
    centre.plan()
    assert ends(store) == died


def test_planners_at_once_do_the_work_once(store: Database) -> None:
    centre = Centre(store, ALL)
    everything(centre)

    def plan(_: int) -> None:
        planner = centre.planner()
        for _round in range(30):
            planner.run_once()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(plan, range(3)))
        listed(store)
        list(threads.map(plan, range(3)))
    at_once = ends(store)
    assert event_states(store) == {"planned": 1 + 1_100 + 152}
    assert len(target_jobs(store)) == 1_098
    assert at_once[3] == 1
    assert centre.plan() == 0


def test_what_comes_in_and_is_listed_and_done_while_planners_work_is_planned_too(store: Database) -> None:
    centre = Centre(store, ALL)
    agents = [f"a{number:03}" for number in range(120)]
    remote: dict[str, float] = {}

    def tell(turn: int) -> None:
        for agent in agents[turn::3]:
            centre.tell(event("joined", agent, 0))
            centre.tell(event("moved", agent, 1, groups=["tier-2"]), approve=True)

    def plan(_: int) -> None:
        for _round in range(25):
            centre.plan()

    def list_and_work(_: int) -> None:
        for _round in range(15):
            listed(store)
            work(store, remote)

    with ThreadPoolExecutor(6) as threads:
        doing = [threads.submit(tell, turn) for turn in range(3)]
        doing += [threads.submit(plan, turn) for turn in range(2)] + [threads.submit(list_and_work, 0)]
        for one in doing:
            one.result()
    for _ in range(3):
        listed(store)
        centre.plan()
        work(store, remote)
    assert event_states(store) == {"planned": 240}
    assert remote == newest_wishes(store) == {identity_of(agent): 85.0 for agent in agents}
    assert_adds_up(store)


def test_an_event_is_never_planned_again(store: Database) -> None:
    centre = Centre(store, ALL)
    centre.tell(event("joined", "ann"))
    centre.plan()
    before = (len(quota_jobs(store)), len(all_asks(store)))
    for _ in range(2):
        centre.tell(event("joined", "ann", id_="the-same"))
        centre.plan()
    centre.policy = Policy(quotas=ALL.quotas, targets=(target_rule("other", 10),))
    centre.plan()
    centre.plan()
    assert (len(quota_jobs(store)), len(all_asks(store))) == before
