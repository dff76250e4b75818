"""`coachsync agents forget`: no table holds the name any more, all that counts adds up, nobody else has changed."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, Column, Float, Integer, String, func, insert, select, update
from sqlmodel import SQLModel

from schemas.jobs import JobState
from tests.integration.cli_rig import Command
from tests.integration.roster_rig import agent, told
from tests.integration.roster_rig import rows as events_of
from tests.integration.roster_rig import submit as submit_events
from tests.integration.store_rig import (
    HOME,
    all_jobs,
    applied,
    assert_adds_up,
    job_of,
    known,
    settle,
    take_one,
    wish,
    write,
)
from tests.integration.webhook_rig import bodies, make_endpoint
from tests.services.stores import on_both, on_sqlite
from worker.configuration.oversight import GuardOptions
from worker.intake.roster_delivery import Door, Entry, deliver
from worker.store import persons
from worker.store.engine import Database
from worker.store.roster import PLANNED
from worker.store.tables import agents, batches, jobs, roster_events

pytestmark = on_sqlite

ANN = "ann.example@corp"
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
FORGET = ("agents", "forget", ANN)


def rows_with(store: Database, word: str) -> dict[str, int]:
    """Every table's rows that hold the word in any column, as text."""
    found = {}
    with store.read() as session:
        for table in SQLModel.metadata.sorted_tables:
            rows = session.execute(select(table)).all()
            if number := sum(any(word in str(value) for value in row) for row in rows):
                found[table.name] = number
    return found


def everything(store: Database) -> dict[str, list[Any]]:
    with store.read() as session:
        return {
            table.name: sorted(map(str, session.execute(select(table)).all()))
            for table in SQLModel.metadata.sorted_tables
        }


def plan_of(name: str, profile: str = HOME) -> str:
    return f"{profile}/coachingPlans/plan-{name.partition('@')[0]}"


def joined(store: Database, name: str, *, profile: str = HOME, plan: str | None = None) -> None:
    plan = plan_of(name, profile) if plan is None else plan
    submit_events(store, [told("joined", name, id_=f"in {profile} {name}", profile=profile, coachingPlanName=plan)])
    _planned(store)


def left(store: Database, name: str, *, profile: str = HOME) -> None:
    submit_events(store, [told("left", name, 1, id_=f"out {profile} {name}", profile=profile)])
    _planned(store)


def was_there(store: Database, name: str, **how: Any) -> None:
    joined(store, name, **how)
    left(store, name, profile=how.get("profile", HOME))


def _planned(store: Database) -> None:
    with store.write() as session:
        session.execute(update(roster_events).values(state=PLANNED))


def _filling(column: Column[Any]) -> Any:
    match getattr(column.type, "impl_instance", column.type):
        case Boolean():
            return False
        case Integer() | Float():
            return 1
        case String() if column.name in persons._OURS:
            return "acme"
        case String():
            return f"a word of {ANN}, and more"
        case _:
            return WHEN


@on_both
def test_no_column_of_any_table_holds_the_name_any_more(store: Database, coachsync: Command) -> None:
    """Each table that there is gets a row with the name in each column that may hold words from outside."""
    with store.write() as session:
        for table in SQLModel.metadata.sorted_tables:
            if table.name not in persons._NOT_OF_PEOPLE:
                given = [column for column in table.columns if column is not table.autoincrement_column]
                session.execute(insert(table), {column.name: _filling(column) for column in given})
    was_there(store, ANN)
    filled, before = rows_with(store, ANN), everything(store)
    report = {one["table"]: one for one in coachsync.json(*FORGET, "--yes")["tables"]}
    assert rows_with(store, ANN) == {}
    assert rows_with(store, plan_of(ANN).rpartition("/")[2]) == {}
    assert set(report) == set(filled)
    gone = {table: one["rowsDeleted"] for table, one in report.items() if one["rowsDeleted"]}
    assert gone == {"agents": 1}
    after = everything(store)
    assert len(after.pop("audit")) == len(before.pop("audit")) + 1, "who has forgotten whom: under the alias"
    assert {table: len(rows) + gone.get(table, 0) for table, rows in after.items()} == {
        table: len(rows) for table, rows in before.items()
    }


def test_the_tables_that_are_not_looked_through_have_no_place_for_a_name() -> None:
    assert {table.name for table in SQLModel.metadata.sorted_tables} >= persons._NOT_OF_PEOPLE


@on_both
def test_a_target_of_their_own_plan_is_forgotten_and_its_job_still_counts(store: Database, coachsync: Command) -> None:
    make_endpoint(store)
    was_there(store, ANN)
    own = wish(1, coaching_plan_name=plan_of(ANN))
    write(store, applied(take_one(store, job_of(store, own))))
    settle(store, wish(2))
    assert known(store, 1)
    jobs_before = {id_: job.state for id_, job in all_jobs(store).items()}
    coachsync(*FORGET, "--yes")
    assert known(store, 1) is None
    assert known(store, 2)
    assert {id_: job.state for id_, job in all_jobs(store).items()} == jobs_before
    assert_adds_up(store)
    assert rows_with(store, plan_of(ANN)) == {}
    plans = {body["data"]["coachingPlanName"] for body in bodies(store) if body["type"] == "target.updated"}
    assert len(plans) == 2
    assert any("/coachingPlans/forgotten-" in plan for plan in plans)
    assert "forgotten-" in coachsync("explain", "1-1").out
    assert "forgotten-" in coachsync("explain", events_of(store)[0].event_id).out


@on_both
def test_who_is_called_almost_alike_and_who_shares_a_plan_is_left_alone(store: Database, coachsync: Command) -> None:
    """The groups, the lanes, the numbers of others that read like the name are theirs."""
    shared = f"{HOME}/coachingPlans/of-the-team"
    for other in ("an", "annette", "ann-marie", "x.ann", "ann@corp"):
        joined(store, other, plan=shared)
    submit_events(store, [told("joined", "bob", id_="in bob", profile=HOME, groups=["ann", "bulk"])])
    settle(store, wish(1, coaching_plan_name=shared))
    _planned(store)
    before = everything(store)
    was_there(store, "ann", plan=shared)
    coachsync("agents", "forget", "ann", "--yes")
    after = everything(store)
    assert after["agents"] == before["agents"]
    assert set(before["roster_events"]) <= set(after["roster_events"])
    touched = ("roster_events", "agents", "audit")
    assert {table: rows for table, rows in after.items() if table not in touched} == {
        table: rows for table, rows in before.items() if table not in touched
    }


@on_both
def test_a_name_that_is_also_something_else_costs_nothing_else(store: Database, coachsync: Command) -> None:
    joined(store, "bob")
    settle(store, wish(1), wish(2))
    before = everything(store)
    names = ("1", "bulk", "pending", "support", "voice", 'o"neil\\', "50%_", "{ann}")
    for name in names:
        was_there(store, name, plan="")
    for name in names:
        assert coachsync.json("agents", "forget", name, "--yes")["tables"]
        assert agent(store, name) is None
    after = everything(store)
    touched = ("roster_events", "audit")
    assert {table: rows for table, rows in after.items() if table not in touched} == {
        table: rows for table, rows in before.items() if table not in touched
    }
    left = [one for one in events_of(store) if one.agent != "bob"]
    assert len(left) == 2 * len(names)
    assert all(one.agent.startswith("forgotten-") for one in left)
    assert not [one for one in left for name in names if len(name) > 1 and name in one.event_id]


@on_both
def test_a_whole_roster_keeps_everybody_else(store: Database, coachsync: Command) -> None:
    names = ("bob", ANN, "cid")
    each = [{"agent": one, "profile": HOME, "groups": ["tier-1"]} for one in names]
    whole = told("left", "nobody") | {"type": "coaching.roster.snapshot", "data": {"profile": HOME, "agents": each}}
    submit_events(store, [whole, told("left", ANN, 1, profile=HOME)])
    _planned(store)
    coachsync(*FORGET, "--yes")
    assert rows_with(store, ANN) == {}
    (snapshot,) = (one for one in events_of(store) if not one.agent)
    assert [one["agent"] for one in json.loads(snapshot.event)["data"]["agents"]] == ["bob", "cid"]
    assert agent(store, "bob") is None, "of another profile"
    with store.read() as session:
        assert session.execute(select(agents.c.agent).order_by(agents.c.agent)).scalars().all() == ["bob", "cid"]


def test_what_could_not_be_read_as_an_event_is_scrubbed_as_words(store: Database, coachsync: Command) -> None:
    deliver(
        store, [Entry("1-0", f'{{"agent": "{ANN}", broken'), Entry("2-0", ANN)], Door("s", "a stream"), GuardOptions()
    )
    was_there(store, ANN)
    coachsync(*FORGET, "--yes")
    assert rows_with(store, ANN) == {}


def test_another_customers_agent_of_the_same_name_is_theirs(store: Database, coachsync: Command) -> None:
    other = "customers/globex/profiles/main"
    was_there(store, ANN)
    was_there(store, ANN, profile=other)
    said = coachsync(*FORGET, "--yes", code=2)
    assert said.err == f"error: NAME: '{ANN}' is known in several profiles; give one with --profile: {HOME}, {other}\n"
    coachsync(*FORGET, "--profile", HOME, "--yes")
    with store.read() as session:
        assert session.execute(select(agents.c.profile)).scalars().all() == [other]
        kept = select(roster_events.c.profile).where(roster_events.c.agent == ANN).distinct()
        assert session.execute(kept).scalars().all() == [other]


def test_a_dry_run_finds_what_is_found_and_writes_nothing(store: Database, coachsync: Command) -> None:
    was_there(store, ANN)
    settle(store, wish(1, coaching_plan_name=plan_of(ANN)))
    before = everything(store)
    foreseen = coachsync.json(*FORGET, "--dry-run")
    assert (foreseen["dryRun"], everything(store)) == (True, before)
    assert "nothing was changed" in coachsync(*FORGET, "--dry-run").out
    refused = coachsync(*FORGET, code=2)
    assert refused.err.startswith("error: --yes: ")
    assert everything(store) == before
    assert coachsync.json(*FORGET, "--yes")["tables"] == foreseen["tables"]


def test_a_second_time_there_is_nothing_left_to_forget(store: Database, coachsync: Command) -> None:
    was_there(store, ANN)
    coachsync(*FORGET, "--yes")
    before = everything(store)
    assert coachsync.json(*FORGET, "--yes") == {"agent": ANN, "dryRun": False, "tables": []}
    assert coachsync(*FORGET, "--yes").err.splitlines() == [
        "the roster never knew the name; with --profile every table is looked through all the same",
        f"nothing is kept of '{ANN}'",
    ]
    assert everything(store) == before


def test_whom_the_roster_never_knew_is_looked_for_all_the_same(store: Database, coachsync: Command) -> None:
    deliver(store, [Entry("1-0", f"no event of {ANN}")], Door("s", "a stream"), GuardOptions())
    (found,) = coachsync.json(*FORGET, "--profile", HOME, "--yes")["tables"]
    assert (found["table"], found["rowsWithoutThem"]) == ("set_aside", 1)
    assert rows_with(store, ANN) == {}
    before = everything(store)
    assert coachsync.json(*FORGET, "--profile", HOME, "--yes")["tables"] == []
    assert coachsync.json(*FORGET, "--profile", HOME)["tables"] == []
    assert everything(store) == before


def test_who_is_still_there_is_not_forgotten(store: Database, coachsync: Command) -> None:
    joined(store, ANN)
    before = everything(store)
    said = coachsync(*FORGET, "--yes", "--cancel-pending", code=2)
    assert f"'{ANN}' is still in the roster of {HOME}: tell that they have left first" in said.err
    assert everything(store) == before


@on_both
def test_open_work_for_them_is_named_and_cancelled_only_when_told(store: Database, coachsync: Command) -> None:
    was_there(store, ANN)
    job = job_of(store, wish(1, coaching_plan_name=plan_of(ANN)))
    submit_events(store, [told("left", ANN, 2, profile=HOME)])
    before = everything(store)
    said = coachsync(*FORGET, "--yes", code=2)
    assert "still to be done for them: 1 job, 1 event; wait for the end of it, or give --cancel-pending" in said.err
    assert everything(store) == before
    coachsync(*FORGET, "--yes", "--cancel-pending")
    assert all_jobs(store)[job].state == JobState.CANCELLED
    assert_adds_up(store)
    assert rows_with(store, ANN) == {}


def test_a_job_that_is_being_sent_is_waited_for(store: Database, coachsync: Command) -> None:
    was_there(store, ANN)
    take_one(store, job_of(store, wish(1, coaching_plan_name=plan_of(ANN))))
    said = coachsync(*FORGET, "--yes", "--cancel-pending", code=2)
    assert said.err == "error: 1 job for them is being sent; try again soon; nothing was changed\n"


def test_where_the_name_is_part_of_a_longer_word_it_is_told_and_left(store: Database, coachsync: Command) -> None:
    was_there(store, ANN)
    job_of(store, wish(1))
    with store.write() as session:
        session.execute(update(jobs).values(state=JobState.CANCELLED))
        session.execute(update(batches).values(label=f"x-{ANN}-y"))
    assert coachsync(*FORGET, "--dry-run").out.splitlines()[0].endswith("part of a longer word")
    told = {one["table"]: one["partOfALongerWord"] for one in coachsync.json(*FORGET, "--yes")["tables"]}
    assert told["batches"] == 1
    with store.read() as session:
        assert session.execute(select(batches.c.label)).scalar_one() == f"x-{ANN}-y"
        assert session.execute(select(func.count()).select_from(jobs)).scalar_one() == 1
