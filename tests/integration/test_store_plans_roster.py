"""The statements of the roster and of the planner use their indexes on SQLite, which is particular about them."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import Session

from schemas.jobs import TargetCreation
from tests.integration.explain_rig import statements
from tests.integration.oversight_rig import COMPLIANCE, LONG_AGO, PROFILE, VOICE, plan_of
from tests.integration.planner_rig import name_of
from worker.store import explaining_roster, planning, reconciling, roster, twins, wants
from worker.store.engine import Database

KEYS = [(PROFILE, "ann"), (PROFILE, "bob")]
NEW = [
    TargetCreation(
        scorecard_template_name=COMPLIANCE,
        usecase_name=VOICE,
        criterion_or_chapter_id="",
        coaching_plan_name=plan_of(agent),
        target=50,
    )
    for _, agent in KEYS
]
SMALL = re.compile("CONSTANT ROW|_waiting$|_held$|_unasked$")  # what waits for somebody is all that is in these
STEPS: list[tuple[str, Callable[[Session], Any]]] = [
    ("roster_events_once", lambda session: roster.known_events(session, [("/hr", "1"), ("/hr", "2")])),
    ("roster_events_time", lambda session: roster.guarded_changes(session, PROFILE, LONG_AGO, LONG_AGO)),
    ("roster_events_agent", lambda session: roster.whole_rosters(session, PROFILE)),
    ("roster_events_held", lambda session: roster.held_events(session, 1)),
    ("roster_events_waiting", planning.waiting_events),
    ("roster_events_once", lambda session: explaining_roster.events_named(session, "4711")),
    ("agents", lambda session: roster.lock_agents(session, KEYS)),
    ("agents", lambda session: planning.agents_named(session, KEYS)),
    ("agents", lambda session: explaining_roster.agents_named(session, "ann")),
    ("agents_plan", lambda session: planning.agents_sharing(session, [plan_of("ann")])),
    ("wants_agent", lambda session: wants.of_agents(session, KEYS)),
    ("wants_plan", lambda session: wants.of_plans(session, [plan_of("ann")])),
    ("wants_unasked", lambda session: planning.something_to_plan(session, 1)),
    ("agents_review", lambda session: planning.something_to_plan(session, 1)),
    ("wants_unasked", wants.unasked),
    ("targets_identity", lambda session: twins.twins_of(session, NEW)),
    ("targets", lambda session: reconciling.standings(session, [name_of("ann")])),
]


@pytest.mark.parametrize(("index", "step"), STEPS)
def test_no_statement_reads_a_table_from_end_to_end(
    sqlite_store: Database, index: str, step: Callable[[Session], Any]
) -> None:
    with sqlite_store.read() as session:
        with statements(session) as seen:
            step(session)
        told = [line for one in seen for line in plan(session, *one)]
    assert any(index in line for line in told), told
    assert [line for line in told if line.startswith("SCAN ") and not SMALL.search(line)] == []


def plan(session: Session, statement: str, parameters: Any) -> list[str]:
    rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    return [str(one[-1]) for one in rows]
