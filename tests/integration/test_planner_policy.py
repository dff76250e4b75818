"""A policy comes into force: at once, or when a person says so, and never the one of settings that are older."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from schemas.policy import Policy
from tests.integration.oversight_rig import Centre, event, quota_rule, target_rule
from tests.integration.planner_rig import identity_of, newest_wishes, remote_has, target_jobs, wanted
from worker.configuration.oversight import GuardOptions
from worker.store import approvals
from worker.store.engine import Database, database_now
from worker.store.oversight_models import Approval
from worker.store.tables import agents
from worker.store.tables import approvals as approval_rows

NARROW = GuardOptions.model_validate({"share": 0.2, "floor": 2})
TEAM = [f"a{number}" for number in range(10)]
OLD = Policy(targets=(target_rule("tier 2", 80, groups=["tier-2"]), target_rule(target=75)))
FEW = Policy(targets=(target_rule("tier 2", 81, groups=["tier-2"]), target_rule(target=75)))
ALL = Policy(targets=(target_rule("tier 2", 80, groups=["tier-2"]), target_rule(target=70)))
NONE = Policy(quotas=(quota_rule(),))


@pytest.fixture
def centre(store: Database) -> Centre:
    """Ten agents, two of them in the second tier, whose targets are known and wished for."""
    centre = Centre(store, OLD, NARROW)
    remote_has(store, *TEAM)
    centre.tell(*(event("joined", agent) for agent in TEAM[2:]))
    centre.tell(*(event("joined", agent, groups=["tier-2"]) for agent in TEAM[:2]))
    centre.plan()
    return centre


def requests(store: Database) -> list[Approval]:
    with store.read() as session:
        return list(reversed(approvals.list_all(session, 100)))


def decide(store: Database, *, approved: bool) -> None:
    with store.write() as session:
        assert approvals.decide(session, requests(store)[-1].id, approved=approved, by="a person")


def expire(store: Database) -> None:
    with store.write() as session:
        session.execute(update(approval_rows).values(expires_at=database_now(session) - timedelta(seconds=1)))


def targets_of(centre: Centre) -> list[float]:
    """What is wanted of each of the team."""
    found = wanted(centre.store)
    return [found[identity_of(agent)][1] for agent in TEAM]


def wishes_of(centre: Centre) -> list[float]:
    found = newest_wishes(centre.store)
    return [found[identity_of(agent)] for agent in TEAM]


def test_the_first_policy_is_in_force_at_once(centre: Centre) -> None:
    assert targets_of(centre) == wishes_of(centre) == [80.0] * 2 + [75.0] * 8
    assert requests(centre.store) == []


def test_what_changes_no_more_than_the_guard_allows_is_in_force_at_once(centre: Centre) -> None:
    centre.policy = FEW
    centre.plan()
    assert requests(centre.store) == []
    assert targets_of(centre) == wishes_of(centre) == [81.0] * 2 + [75.0] * 8
    assert len(target_jobs(centre.store)) == 12
    with centre.store.read() as session:
        assert len(set(session.execute(select(agents.c.policy_id)).scalars())) == 1
    assert centre.plan() == 0


def test_what_changes_more_waits_for_a_person_and_the_old_one_stays_in_force(centre: Centre) -> None:
    centre.policy = ALL
    centre.plan()
    centre.plan()
    (request,) = requests(centre.store)
    assert (request.door, request.state) == ("policy", "waiting")
    assert request.reason.startswith("8 of 10 wanted targets would change or be wanted no more, more than 20%")
    remote_has(centre.store, "new")
    centre.tell(event("joined", "new"))
    centre.plan()
    assert targets_of(centre) == [80.0] * 2 + [75.0] * 8
    assert wanted(centre.store)[identity_of("new")][1] == newest_wishes(centre.store)[identity_of("new")] == 75.0


def test_it_goes_on_when_a_person_has_said_yes(centre: Centre) -> None:
    centre.policy = ALL
    centre.plan()
    decide(centre.store, approved=True)
    centre.plan()
    assert targets_of(centre) == wishes_of(centre) == [80.0] * 2 + [70.0] * 8
    assert len(requests(centre.store)) == 1
    assert centre.plan() == 0


def test_a_person_who_says_no_is_not_asked_again_until_that_has_expired(centre: Centre) -> None:
    centre.policy = ALL
    centre.plan()
    decide(centre.store, approved=False)
    centre.plan()
    assert len(requests(centre.store)) == 1
    assert targets_of(centre) == [80.0] * 2 + [75.0] * 8
    expire(centre.store)
    centre.plan()
    assert [one.state for one in requests(centre.store)] == ["rejected", "waiting"]


def test_who_has_not_answered_in_time_is_asked_again(centre: Centre) -> None:
    centre.policy = ALL
    centre.plan()
    expire(centre.store)
    centre.plan()
    assert [one.state for one in requests(centre.store)] == ["waiting", "waiting"]


def test_a_policy_that_wants_nothing_any_more_waits_too(centre: Centre) -> None:
    centre.policy = NONE
    centre.plan()
    assert [one.state for one in requests(centre.store)] == ["waiting"]
    assert len(wanted(centre.store)) == 10
    decide(centre.store, approved=True)
    centre.plan()
    assert wanted(centre.store) == {}


def test_targets_that_were_not_wanted_before_do_not_count(centre: Centre) -> None:
    more = target_rule("empathy", 10, criterion="empathy")
    centre.policy = Policy(targets=(*OLD.targets, more))
    centre.plan()
    assert requests(centre.store) == []
    assert len(wanted(centre.store)) == 20


def test_a_rule_of_another_name_asks_for_nothing(centre: Centre) -> None:
    centre.policy = Policy(targets=(target_rule("second", 80, groups=["tier-2"]), target_rule("rest", 75)))
    centre.plan()
    assert wanted(centre.store)[identity_of("a0")] == ("a0", 80.0, "second")
    assert len(target_jobs(centre.store)) == 10


def test_a_policy_of_before_can_be_put_back(centre: Centre) -> None:
    for policy in (FEW, OLD):
        centre.policy = policy
        centre.plan()
    assert targets_of(centre) == wishes_of(centre) == [80.0] * 2 + [75.0] * 8


def test_a_process_that_has_read_older_settings_leaves_the_newer_policy_in_force(centre: Centre) -> None:
    """While the machines are updated one by one, the policy does not go back and forth between them."""
    older = centre.planner()
    older.run_once()
    centre.policy = FEW
    newer = centre.planner()
    for planner in (newer, older, newer, older):
        planner.run_once()
    assert targets_of(centre) == wishes_of(centre) == [81.0] * 2 + [75.0] * 8
    assert len(target_jobs(centre.store)) == 12
    centre.tell(event("moved", "a9", 1, groups=["tier-2"]))
    older.run_once()
    assert targets_of(centre)[9] == 81.0


def test_who_is_told_of_while_a_new_policy_is_met_page_by_page_is_weighed_by_it(store: Database) -> None:
    centre = Centre(store, OLD)
    many = [f"m{number:04}" for number in range(1_200)]
    remote_has(store, *many)
    centre.tell(*(event("joined", agent) for agent in many))
    centre.plan()
    centre.policy = Policy(targets=(target_rule("new", 90, groups=["tier-1"]), target_rule(target=75)))
    centre.plan()
    assert requests(store)[-1].reason.startswith("1,200 of 1,200 wanted targets")
    decide(store, approved=True)
    centre.tell(event("moved", "m0600", 1, groups=["tier-2"]))
    centre.plan()
    found = wanted(store)
    assert found[identity_of("m0600")][1] == 75.0
    assert {found[identity_of(agent)][1] for agent in many if agent != "m0600"} == {90.0}
