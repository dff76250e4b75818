"""Whatever is told of a roster, in whatever order and how often: it comes to the same."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.roster import AgentEvent, RosterAgent, SnapshotEvent
from tests.integration.roster_rig import PROFILE, VOICE, events_of, projection, submit, told, told_all
from tests.services.stores import empty
from worker.core.roster import Facts, agent_of, confirm, facts_from_json, facts_to_json, fold
from worker.core.roster_diff import diff, id_of
from worker.store.engine import Database

AGENTS = ("ann", "bob", "cid")
ANYBODY = st.sampled_from(AGENTS)
HOURS = st.integers(0, 6)  # few, so that events meet at one time
SAID: dict[str, st.SearchStrategy[Any]] = {
    "groups": st.lists(st.sampled_from(["tier-1", "tier-2", "night"]), max_size=2),
    "usecases": st.lists(st.just(VOICE), max_size=1),
    "coachingPlanName": st.sampled_from(["", f"{PROFILE}/coachingPlans/p"]),
    "joinedAt": st.sampled_from(["2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", None]),
}
SOME = st.fixed_dictionaries({}, optional=SAID)
FULLY = st.fixed_dictionaries(SAID | {"joinedAt": st.just("2025-06-01T00:00:00Z")})
ON_A_STORE = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def one_event(draw: st.DrawFn, of: st.SearchStrategy[str] = ANYBODY) -> dict[str, Any]:
    verb = draw(st.sampled_from(["joined", "left", "moved", "changed"]))
    said = {} if verb == "left" else draw(FULLY if verb == "joined" else SOME)
    if verb == "changed" and not said:
        said = {"groups": ["night"]}
    if verb == "moved":
        said.pop("joinedAt", None)
    return told(verb, draw(of), draw(HOURS), **said)


@st.composite
def one_snapshot(draw: st.DrawFn) -> dict[str, Any]:
    whole = told_all([], draw(HOURS))
    for agent in draw(st.lists(st.sampled_from(AGENTS), unique=True)):
        whole["data"]["agents"].append({"agent": agent, "profile": PROFILE} | draw(FULLY))
    return whole


@st.composite
def shuffled(draw: st.DrawFn, what: st.SearchStrategy[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Some things, and the same in another order with some of them told again."""
    first = draw(st.lists(what, min_size=1, max_size=8))
    again = draw(st.lists(st.sampled_from(first), max_size=4))
    return first, draw(st.permutations([*first, *again]))


def fold_all(events: Sequence[AgentEvent | SnapshotEvent], facts: Facts | None = None) -> Facts:
    return reduce(lambda known, event: fold(known, event).facts, events, facts or Facts())  # type: ignore[arg-type]


@given(shuffled(one_event(st.just("ann"))))
def test_events_of_an_agent_fold_to_the_same_in_any_order_and_told_twice(orders: tuple[list[Any], list[Any]]) -> None:
    assert fold_all(events_of(orders[0])) == fold_all(events_of(orders[1]))


@given(st.lists(one_event(st.just("ann")), max_size=6))
def test_facts_are_kept_as_they_are(events: list[dict[str, Any]]) -> None:
    facts = fold_all(events_of(events))
    assert facts_from_json(facts_to_json(facts)) == facts


@given(st.lists(one_event(), max_size=8), one_snapshot())
def test_what_leads_to_a_whole_roster_leads_there_and_nothing_leads_from_it_to_itself(
    events: list[dict[str, Any]], snapshot: dict[str, Any]
) -> None:
    snapshot |= {"time": "2026-01-02T00:00:00Z"}
    (whole,) = events_of([snapshot])
    assert isinstance(whole, SnapshotEvent)
    known = {name: fold_all([one for one in events_of(events) if one.data.agent == name]) for name in AGENTS}  # type: ignore[union-attr]
    known = {name: facts for name, facts in known.items() if facts.fields}

    for event in diff(known, whole, first=False):
        known[event.data.agent] = fold(known.get(event.data.agent, Facts()), event).facts
    for agent in whole.data.agents:
        known[agent.agent] = confirm(known[agent.agent], agent, whole.time, f"/hr {id_of(whole.id, agent.agent)}")

    assert _there(known) == {agent.agent: agent for agent in whole.data.agents}
    assert diff(known, whole, first=False) == []


def _there(known: dict[str, Facts]) -> dict[str, RosterAgent]:
    found = {name: agent_of(PROFILE, name, facts) for name, facts in known.items()}
    return {name: agent for name, agent in found.items() if agent}


@ON_A_STORE
@given(shuffled(st.one_of(one_event(), one_snapshot())), st.integers(1, 4))
def test_events_and_whole_rosters_come_to_the_same_in_any_order_and_however_they_are_parted(
    sqlite_store: Database, orders: tuple[list[Any], list[Any]], at_once: int
) -> None:
    ends = []
    for order, size in zip(orders, (1, at_once), strict=True):
        empty(sqlite_store)
        for start in range(0, len(order), size):
            submit(sqlite_store, order[start : start + size])
        ends.append(projection(sqlite_store))
    assert ends[0] == ends[1]


def test_what_is_told_late_of_a_time_before_a_whole_roster_changes_nothing(sqlite_store: Database) -> None:
    submit(sqlite_store, [told("joined", "ann", 0), told_all(["ann"], 5)])
    submit(sqlite_store, [told("left", "ann", 2), told("moved", "ann", 3, groups=["night"]), told("joined", "bob", 4)])
    ((active, record),) = [projection(sqlite_store)["ann"]]
    assert active
    assert '"tier-1"' in record
    assert not projection(sqlite_store)["bob"][0]
