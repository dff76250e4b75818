"""What a want becomes: an update where the target's name is known, a creation where it is not there, else a reason."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select, update

from schemas.jobs import JobKind, TargetCreation, TargetUpdate
from schemas.policy import Policy
from tests.integration.oversight_rig import PROFILE, Centre, event, plan_of, serve, target_rule
from tests.integration.planner_rig import (
    identity_of,
    listed,
    name_of,
    newest_wishes,
    remote_has,
    target_jobs,
    want_of,
    work,
)
from tests.integration.store_rig import change, take_one, tried, write
from worker.configuration.remotes import NoRemote
from worker.core.decisions import Fail
from worker.loops.planner import Planner
from worker.store.cadences import listing_of
from worker.store.engine import Database, database_now
from worker.store.tables import cadences, wants
from worker.store.wants import clear_obstacles

ONE_RULE = Policy(targets=(target_rule(),))
NONE_MADE = Policy(targets=(target_rule(create=False),))
TIERS = Policy(targets=(target_rule("second", 85, groups=["tier-2"]), target_rule()))


def due_at(store: Database, cadence: str) -> datetime | None:
    with store.read() as session:
        return session.execute(select(cadences.c.due_at).where(cadences.c.name == cadence)).scalar_one_or_none()


def put_off_listing(store: Database) -> datetime:
    """The next look at the profile's targets is far away."""
    with store.write() as session:
        later = database_now(session) + timedelta(hours=10)
        session.execute(insert(cadences), [{"name": listing_of(PROFILE), "due_at": later, "pause": 3600.0}])
    return later


def test_a_target_that_is_known_is_updated_by_its_name(store: Database) -> None:
    centre = Centre(store, ONE_RULE)
    remote_has(store, "ann")
    centre.tell(event("joined", "ann"))
    centre.plan()
    (job,) = target_jobs(store)
    wish = TargetUpdate.model_validate_json(job.wish)
    assert (wish.name, wish.target, wish.coaching_plan_name) == (name_of("ann"), 75.0, plan_of("ann"))
    assert (want_of(store, "ann").asked, want_of(store, "ann").job_id) == (True, job.id)


def test_what_the_remote_has_already_is_no_request(store: Database) -> None:
    centre = Centre(store, ONE_RULE)
    remote_has(store, "ann", value=75.0)
    centre.tell(event("joined", "ann"))
    centre.plan()
    (job,) = target_jobs(store)
    assert (job.state, job.result) == ("succeeded", "unchanged")


def test_a_target_that_is_not_known_waits_for_a_listing_which_comes_soon(store: Database) -> None:
    centre = Centre(store, ONE_RULE)
    listed(store)
    later = put_off_listing(store)
    centre.tell(event("joined", "ann"))
    centre.plan()
    assert target_jobs(store) == []
    assert "nobody knows yet" in (want_of(store, "ann").obstacle or "")
    hastened = due_at(store, listing_of(PROFILE))
    assert hastened
    assert hastened < later - timedelta(hours=9)


def test_a_listing_under_way_keeps_its_pace(store: Database) -> None:
    centre = Centre(store, ONE_RULE)
    later = put_off_listing(store)
    listed(store, finished=False)
    centre.tell(event("joined", "ann"))
    centre.plan()
    assert due_at(store, listing_of(PROFILE)) == later


def test_a_listing_that_began_before_or_is_not_through_does_not_tell(store: Database) -> None:
    centre = Centre(store, ONE_RULE)
    listed(store)
    centre.tell(event("joined", "ann"))
    centre.plan()
    assert target_jobs(store) == []
    listed(store, error="it broke")
    centre.plan()
    listed(store, finished=False)
    with store.write() as session:
        clear_obstacles(session, PROFILE)
    centre.plan()
    assert target_jobs(store) == []
    assert want_of(store, "ann").obstacle
    listed(store)
    centre.plan()
    assert len(target_jobs(store)) == 1


def test_a_target_that_a_listing_has_not_shown_is_made_once(store: Database) -> None:
    centre = Centre(store, ONE_RULE)
    centre.tell(event("joined", "ann"))
    centre.plan()
    listed(store)
    centre.plan()
    centre.plan()
    (job,) = target_jobs(store)
    wish = TargetCreation.model_validate_json(job.wish)
    assert (wish.resource, wish.target) == (identity_of("ann"), 75.0)
    assert want_of(store, "ann").obstacle is None


def test_a_target_that_a_listing_has_shown_meanwhile_is_updated(store: Database) -> None:
    centre = Centre(store, ONE_RULE)
    centre.tell(event("joined", "ann"))
    centre.plan()
    remote_has(store, "ann")
    listed(store)
    centre.plan()
    assert [job.kind for job in target_jobs(store)] == [JobKind.TARGET_UPDATE]


def test_a_rule_that_makes_none_says_so(store: Database) -> None:
    centre = Centre(store, NONE_MADE)
    centre.tell(event("joined", "ann"))
    centre.plan()
    listed(store)
    centre.plan()
    assert target_jobs(store) == []
    assert "the rule 'everybody' creates none" in (want_of(store, "ann").obstacle or "")


def test_a_rule_that_may_make_it_from_now_on_takes_the_obstacle_away(store: Database) -> None:
    centre = Centre(store, NONE_MADE)
    centre.tell(event("joined", "ann"))
    centre.plan()
    listed(store)
    centre.plan()
    centre.policy = ONE_RULE
    centre.plan()
    assert [job.kind for job in target_jobs(store)] == [JobKind.TARGET_CREATION]


def test_a_remote_that_lists_nothing_is_an_obstacle_to_what_is_not_known(store: Database) -> None:
    centre = Centre(store, ONE_RULE)
    remote_has(store, "bob")
    centre.tell(event("joined", "ann"), event("joined", "bob"))
    centre.plan()
    listed(store, reads="get")
    centre.plan()
    assert [job.resource for job in target_jobs(store)] == [name_of("bob")]
    assert "does not list its targets" in (want_of(store, "ann").obstacle or "")


def test_a_profile_that_nobody_serves_is_an_obstacle_until_somebody_does(store: Database) -> None:
    centre = Centre(store, ONE_RULE)
    centre.tell(event("joined", "ann"))
    remote_has(store, "ann")

    def nobody(customer: str) -> NoRemote:
        return NoRemote(customer, f"no remote serves {customer}")

    Planner(store, ONE_RULE, centre.options, centre.guard, nobody).run_once()
    assert target_jobs(store) == []
    assert want_of(store, "ann").obstacle == "no remote serves acme"
    assert not isinstance(serve("acme"), NoRemote)
    listed(store)
    centre.plan()
    assert [job.resource for job in target_jobs(store)] == [name_of("ann")]


def test_what_changes_while_the_target_is_made_becomes_an_update_of_it(store: Database) -> None:
    centre = Centre(store, TIERS)
    remote: dict[str, float] = {}
    centre.tell(event("joined", "ann"))
    centre.plan()
    listed(store)
    centre.plan()
    centre.tell(event("moved", "ann", 1, groups=["tier-2"]))
    centre.plan()
    assert [job.kind for job in target_jobs(store)] == [JobKind.TARGET_CREATION]
    assert not want_of(store, "ann").asked
    work(store, remote)
    centre.plan()
    assert [job.kind for job in target_jobs(store)] == [JobKind.TARGET_CREATION, JobKind.TARGET_UPDATE]
    work(store, remote)
    assert remote == newest_wishes(store) == {identity_of("ann"): 85.0}


def test_who_waits_for_their_target_to_be_made_keeps_nobody_waiting(store: Database) -> None:
    """More than a page of them, ahead of the others by name."""
    centre = Centre(store, TIERS)
    early = [f"a{number:03}" for number in range(600)]
    centre.tell(*(event("joined", agent) for agent in early))
    centre.plan()
    listed(store)
    centre.plan()
    assert len(target_jobs(store)) == 600
    centre.tell(*(event("moved", agent, 1, groups=["tier-2"]) for agent in early), approve=True)
    centre.tell(event("joined", "zoe"))
    centre.plan()
    remote_has(store, "zoe")
    listed(store)
    centre.plan()
    assert want_of(store, "zoe").asked
    assert not want_of(store, "a000").asked
    assert centre.plan() == 0


def test_a_target_that_turns_out_to_be_there_is_updated(store: Database) -> None:
    centre = Centre(store, ONE_RULE)
    centre.tell(event("joined", "ann"))
    centre.plan()
    listed(store)
    centre.plan()
    (creation,) = target_jobs(store)
    remote_has(store, "ann")
    change(store, [creation.id], due_at=datetime(2020, 1, 1, tzinfo=UTC))
    write(store, tried(take_one(store, creation.id), Fail("exists", "it is there, with 50")))
    centre.plan()
    last = target_jobs(store)[-1]
    assert (last.kind, last.resource) == (JobKind.TARGET_UPDATE, name_of("ann"))


def test_a_wish_that_the_door_refuses_is_not_offered_again_and_again(store: Database) -> None:
    centre = Centre(store, ONE_RULE)
    remote_has(store, "ann")
    centre.tell(event("joined", "ann"))
    with store.write() as session:
        soon = database_now(session) + timedelta(days=1)
    Planner(store, ONE_RULE, centre.options, centre.guard, lambda _: NoRemote("acme", "away")).run_once()
    with store.write() as session:
        session.execute(update(wants).values(as_of=soon, obstacle=None))
    centre.plan()
    assert "asOf lies in the future" in (want_of(store, "ann").obstacle or "")
    assert target_jobs(store) == []
    assert centre.plan() == 0
