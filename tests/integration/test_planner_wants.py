"""What is wanted of an agent's target, from the first event to the last, and in what order it is asked."""

import itertools
from datetime import timedelta
from typing import Any

import pytest

from schemas.instants import format_instant
from schemas.jobs import TargetUpdate
from schemas.policy import Policy
from tests.integration.oversight_rig import LONG_AGO, POLICY, Centre, event, plan_of, target_rule
from tests.integration.planner_rig import (
    agent_row,
    days_pass,
    identity_of,
    in_force_for_years,
    listed,
    name_of,
    newest_wishes,
    remote_has,
    target_jobs,
    want_of,
    wanted,
    work,
)
from tests.integration.store_rig import job_of
from worker.clock import utc_now
from worker.store.engine import Database

DAY = timedelta(days=1)


@pytest.fixture
def centre(store: Database) -> Centre:
    """The policy has been in force for years, and the remote has a target of everybody."""
    centre = Centre(store)
    centre.plan()
    in_force_for_years(store)
    remote_has(store, "ann", "bob", "cid")
    return centre


def joined(agent: str, days_ago: float, **said: Any) -> Any:
    """Told of long ago, with the time when they joined."""
    return event("joined", agent, joinedAt=format_instant(utc_now() - days_ago * DAY), **said)


def test_an_agents_first_days_end_without_any_event(centre: Centre) -> None:
    centre.tell(joined("ann", 10))
    centre.plan()
    joined_at = agent_row(centre.store, "ann").review_at
    assert joined_at
    assert timedelta(days=19) < joined_at - utc_now() < timedelta(days=21)
    assert wanted(centre.store) == {identity_of("ann"): ("ann", 60.0, "new hires")}

    days_pass(centre.store, 19.9)
    assert centre.plan() == 0
    days_pass(centre.store, 0.2)
    centre.plan()

    want, boundary = want_of(centre.store, "ann"), agent_row(centre.store, "ann").review_at
    assert (want.target, want.rule, boundary) == (75.0, "everybody", None)
    assert timedelta(0) < utc_now() - want.as_of < DAY / 5
    assert [TargetUpdate.model_validate_json(job.wish).target for job in target_jobs(centre.store)] == [60.0, 75.0]
    assert centre.plan() == 0


def test_who_moves_within_their_first_days_stays_a_new_hire_and_is_reviewed_then(centre: Centre) -> None:
    centre.tell(joined("ann", 10))
    centre.plan()
    centre.tell(event("moved", "ann", 5, groups=["tier-2"]))
    centre.plan()
    assert want_of(centre.store, "ann").target == 60.0
    days_pass(centre.store, 21)
    centre.plan()
    assert want_of(centre.store, "ann").target == 85.0


def test_who_leaves_is_wanted_nothing_of_and_gets_it_anew_when_they_are_back(centre: Centre) -> None:
    centre.tell(event("joined", "ann"), event("joined", "bob"))
    centre.plan()
    centre.tell(event("left", "ann", 5))
    centre.plan()
    assert set(wanted(centre.store)) == {identity_of("bob")}
    assert agent_row(centre.store, "ann").review_at is None
    assert len(target_jobs(centre.store)) == 2
    centre.tell(event("joined", "ann", 9, groups=["tier-2"]))
    centre.plan()
    assert wanted(centre.store)[identity_of("ann")] == ("ann", 85.0, "second tier")
    assert newest_wishes(centre.store)[identity_of("ann")] == 85.0


@pytest.mark.parametrize("change", [{"usecases": []}, {"coachingPlanName": ""}])
def test_who_no_longer_fits_any_rule_is_wanted_nothing_of(centre: Centre, change: dict[str, Any]) -> None:
    centre.tell(event("joined", "ann"))
    centre.plan()
    centre.tell(event("changed", "ann", 5, **change))
    centre.plan()
    assert wanted(centre.store) == {}


def test_nothing_is_wanted_of_who_has_no_plan_until_they_get_one(centre: Centre) -> None:
    centre.tell(event("joined", "ann", coachingPlanName=""))
    centre.plan()
    assert wanted(centre.store) == {}
    centre.tell(event("changed", "ann", 5, coachingPlanName=plan_of("ann")))
    centre.plan()
    assert wanted(centre.store) == {identity_of("ann"): ("ann", 75.0, "everybody")}


def test_who_gets_another_plan_takes_their_targets_along(centre: Centre) -> None:
    centre.tell(event("joined", "ann"))
    centre.plan()
    centre.tell(event("changed", "ann", 5, coachingPlanName=plan_of("bob")))
    centre.plan()
    assert wanted(centre.store) == {identity_of("bob"): ("ann", 75.0, "everybody")}


def test_what_changes_nothing_about_a_target_asks_for_nothing(centre: Centre) -> None:
    centre.tell(event("joined", "ann"))
    centre.plan()
    centre.tell(event("moved", "ann", 5, groups=["night"]))
    centre.plan()
    assert len(target_jobs(centre.store)) == 1


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))])
def test_agents_who_share_a_plan_come_to_the_same_in_any_order(centre: Centre, order: tuple[int, ...]) -> None:
    """The rule that comes first has the say, then the name that does."""
    ours = plan_of("ann")
    told = [
        event("joined", "bob", 0, coachingPlanName=ours, groups=["tier-2"]),
        event("joined", "ann", 1),
        event("joined", "cid", 2, coachingPlanName=ours, groups=["tier-2"]),
        event("left", "bob", 3),
    ]
    for number in order:
        centre.tell(told[number])
        centre.plan()
    assert wanted(centre.store) == {identity_of("ann"): ("cid", 85.0, "second tier")}
    assert newest_wishes(centre.store) == {identity_of("ann"): 85.0}
    centre.tell(event("left", "cid", 4))
    centre.plan()
    assert wanted(centre.store) == {identity_of("ann"): ("ann", 75.0, "everybody")}
    assert newest_wishes(centre.store) == {identity_of("ann"): 75.0}


def test_what_is_learned_late_is_asked_after_what_was_asked_before(centre: Centre) -> None:
    """The end of the first days has been asked for, as of that day; then it comes out that they are not over."""
    centre.tell(joined("ann", 40))
    centre.plan()
    assert newest_wishes(centre.store) == {identity_of("ann"): 75.0}
    centre.tell(event("changed", "ann", 5, joinedAt=format_instant(utc_now() - 10 * DAY)))
    centre.plan()
    assert want_of(centre.store, "ann").target == 60.0
    assert newest_wishes(centre.store) == {identity_of("ann"): 60.0}


def test_a_target_that_was_made_is_asked_for_in_the_order_of_its_making(store: Database) -> None:
    centre = Centre(store)
    centre.plan()
    in_force_for_years(store)
    remote: dict[str, float] = {}
    centre.tell(joined("ann", 40))
    centre.plan()
    listed(store)
    centre.plan()
    work(store, remote)
    centre.tell(event("changed", "ann", 5, joinedAt=format_instant(utc_now() - 10 * DAY)))
    centre.plan()
    work(store, remote)
    assert remote == newest_wishes(store) == {identity_of("ann"): 60.0}


def test_an_event_of_before_does_not_outrun_what_somebody_has_wished_since(centre: Centre) -> None:
    centre.tell(event("joined", "ann", 0, joinedAt="2025-01-01T00:00:00Z"))
    centre.plan()
    job_of(centre.store, by_hand(99, hours=3))
    centre.tell(event("moved", "ann", 2, groups=["tier-2"]))
    centre.plan()
    assert (want_of(centre.store, "ann").target, newest_wishes(centre.store)) == (85.0, {identity_of("ann"): 99.0})
    superseded = target_jobs(centre.store)[-1]
    assert (superseded.state, want_of(centre.store, "ann").job_id) == ("superseded", superseded.id)
    centre.tell(event("moved", "ann", 4, groups=["tier-1"]))
    centre.plan()
    assert newest_wishes(centre.store) == {identity_of("ann"): 75.0}


def by_hand(value: float, hours: float) -> TargetUpdate:
    fitting = POLICY.targets[0]
    return TargetUpdate(
        name=name_of("ann"),
        scorecard_template_name=fitting.template,
        usecase_name=fitting.usecase,
        coaching_plan_name=plan_of("ann"),
        target=value,
        as_of=LONG_AGO + timedelta(hours=hours),
    )


def test_one_agent_may_have_many_targets(store: Database) -> None:
    rules = [target_rule(f"of {number}", number, criterion=f"c-{number}") for number in range(40)]
    centre = Centre(store, Policy(targets=tuple(rules)))
    centre.tell(*(event("joined", f"a{number}") for number in range(60)))
    centre.plan()
    listed(store)
    centre.plan()
    assert len(target_jobs(store)) == len(wanted(store)) == 60 * 40
