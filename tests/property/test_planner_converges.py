"""Events, whole rosters, planner rounds, listings, workers in any order: the same is wanted, and wished last."""

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum, auto
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas.instants import format_instant
from schemas.policy import Policy, TargetRule
from tests.integration.oversight_rig import serve
from tests.integration.planner_rig import in_force_for_years, listed, newest_wishes, wanted, work
from tests.integration.roster_rig import OPEN, PROFILE, VOICE, submit, told, told_all
from tests.services.stores import empty
from worker.clock import utc_now
from worker.configuration.oversight import RosterOptions
from worker.loops.planner import Planner
from worker.store.engine import Database

AGENTS = ("ann", "ann", "bob", "cid")
PLANS = tuple(f"{PROFILE}/coachingPlans/{plan}" for plan in ("p", "q"))  # fewer than agents: they are shared
RECENT = format_instant(utc_now() - timedelta(days=10))
BEFORE = "2025-12-25T00:00:00Z"  # these first days are over: later than all that is told of, and before now
FACTS: dict[str, st.SearchStrategy[Any]] = {
    "groups": st.lists(st.sampled_from(["tier-1", "tier-2"]), max_size=2),
    "usecases": st.sampled_from([[VOICE], [VOICE], []]),
    "coachingPlanName": st.sampled_from(["", *PLANS, *PLANS]),
    "joinedAt": st.sampled_from([RECENT, BEFORE]),
}
HOURS = st.integers(0, 6)  # few, so that events meet at one time


def rule(name: str, target: float, criterion: str, **said: Any) -> TargetRule:
    template = f"{PROFILE}/scorecardTemplates/s"
    fields = {"name": name, "template": template, "usecase": VOICE, "criterion": criterion, "target": target}
    return TargetRule.model_validate(fields | {"create": True} | said)


POLICY = Policy(
    targets=(
        rule("new hires", 60, "a", first_days=30),
        rule("seniors", 85, "a", groups=["tier-2"]),
        rule("everybody", 75, "a"),
        rule("new seniors", 40, "b", groups=["tier-2"], first_days=60),
        rule("all seniors", 90, "b", groups=["tier-2"]),
    )
)


class Round(Enum):
    PLAN = auto()
    LIST = auto()
    WORK = auto()
    REST = auto()


@st.composite
def something_told(draw: st.DrawFn) -> dict[str, Any]:
    verb = draw(st.sampled_from(["joined", "joined", "left", "moved", "changed", "snapshot"]))
    if verb == "snapshot":
        whole = told_all([], draw(HOURS))
        for agent in draw(st.lists(st.sampled_from(AGENTS[1:]), unique=True)):
            whole["data"]["agents"].append({"agent": agent, "profile": PROFILE} | draw(st.fixed_dictionaries(FACTS)))
        return whole
    said = draw(st.fixed_dictionaries(FACTS) if verb == "joined" else st.fixed_dictionaries({}, optional=FACTS))
    if verb == "changed" and not said:
        said = {"groups": ["tier-2"]}
    if verb == "moved":
        said.pop("joinedAt", None)
    return told(verb, draw(st.sampled_from(AGENTS)), draw(HOURS), **({} if verb == "left" else said))


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """The same things told in two orders, some of them twice in the second, with rounds of all kinds in between."""
    first = draw(st.lists(something_told(), min_size=1, max_size=7))
    again = draw(st.permutations([*first, *draw(st.lists(st.sampled_from(first), max_size=3))]))
    return _with_rounds(draw, first), _with_rounds(draw, again)


def _with_rounds(draw: st.DrawFn, given: Sequence[Any]) -> list[Any]:
    rounds = st.lists(st.sampled_from([*Round, Round.REST]), max_size=2)
    return [step for one in given for step in (one, *draw(rounds))]


class World:
    """``remote`` is what the remote has, by what each target is for: what was written last."""

    def __init__(self, store: Database) -> None:
        empty(store)
        self.store = store
        self.remote: dict[str, float] = {}
        self._plan()
        in_force_for_years(store)

    def live(self, story: Sequence[Any]) -> dict[str, tuple[str, float, str]]:
        for step in story:
            match step:
                case Round.PLAN:
                    self._plan()
                case Round.LIST:
                    listed(self.store)
                case Round.WORK:
                    work(self.store, self.remote)
                case Round.REST:
                    self._come_to_rest()
                case _:
                    submit(self.store, [step])
        self._come_to_rest()
        found = wanted(self.store)
        wishes = newest_wishes(self.store)
        values = {identity: value for identity, (_, value, _) in found.items()}
        assert {identity: wishes[identity] for identity in values} == values
        assert {identity: self.remote[identity] for identity in values} == values
        return found

    def _plan(self) -> int:
        options = RosterOptions.model_validate({"quiet": 0, "longest": 0})
        return Planner(self.store, POLICY, options, OPEN, serve).run_once()

    def _come_to_rest(self) -> None:
        for _ in range(10):
            listed(self.store)
            if not (self._plan() + work(self.store, self.remote)):
                return
        raise AssertionError("it does not come to rest")


SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=60, suppress_health_check=SLOW)
@given(stories())
def test_in_any_order_the_same_is_wanted_and_the_remote_has_it(
    sqlite_store: Database, two: tuple[list[Any], list[Any]]
) -> None:
    first, second = (World(sqlite_store).live(story) for story in two)
    assert first == second


@pytest.mark.postgres
@settings(max_examples=8, phases=[Phase.generate], suppress_health_check=SLOW)
@given(stories())
def test_it_is_the_same_on_postgresql(postgres_store: Database, two: tuple[list[Any], list[Any]]) -> None:
    first, second = (World(postgres_store).live(story) for story in two)
    assert first == second
