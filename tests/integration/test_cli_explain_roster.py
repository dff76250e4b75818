"""`coachsync explain` of the roster: from an event, an agent or a job, the chain from event and rule to the outcome."""

import pytest
from sqlalchemy import delete, update

from schemas.ids import format_job_id
from schemas.jobs import JobKind
from schemas.policy import Policy
from tests.integration.cli_rig import Command
from tests.integration.oversight_rig import (
    COMPLIANCE,
    POLICY,
    PROFILE,
    Centre,
    event,
    quota_rule,
    snapshot,
    target_rule,
)
from tests.integration.planner_rig import (
    all_asks,
    identity_of,
    listed,
    name_of,
    remote_has,
    target_jobs,
    want_of,
    work,
)
from tests.integration.store_rig import all_jobs, job_ids, open_jobs, settle, wish
from tests.services.stores import on_both, on_sqlite
from worker.clock import utc_now
from worker.configuration.oversight import GuardOptions
from worker.configuration.remotes import NoRemote
from worker.planning.events import plan_events
from worker.planning.placing import Placing
from worker.store import approvals, policies
from worker.store.engine import Database
from worker.store.tables import jobs, roster_events

pytestmark = on_sqlite

QUOTA = f"{COMPLIANCE}@3/quota;usecase=voice"
NARROW = GuardOptions.model_validate({"share": 0.1, "floor": 1})


@pytest.fixture
def centre(store: Database) -> Centre:
    """Ann has joined, what the policy asks for is asked for, and her target is known to the remote."""
    centre = Centre(store)
    remote_has(store, "ann", value=50)
    centre.tell(event("joined", "ann", id_="4711"))
    centre.plan()
    return centre


def parts(out: str) -> dict[str, list[str]]:
    """The lines of each part of a story, by its title; those before the first one under an empty title."""
    found: dict[str, list[str]] = {"": []}
    title = ""
    for line in out.splitlines():
        if line.startswith(" "):
            found[title].append(line.strip())
        elif line.endswith(":"):
            title = line[:-1]
            found[title] = []
        else:
            found[""].append(line)
    return found


def job_of_kind(store: Database, kind: JobKind) -> str:
    """The newest one."""
    return format_job_id(max(id_ for id_, one in all_jobs(store).items() if one.kind == kind))


# An event


@on_both
@pytest.mark.usefixtures("centre")
@pytest.mark.parametrize("name", ["e1", "4711"])
def test_an_event_is_told_from_what_it_changed_to_what_became_of_each_thing_it_asked_for(
    store: Database, coachsync: Command, name: str
) -> None:
    work(store)
    quota, target = job_of_kind(store, JobKind.QUOTA_RECALCULATION), job_of_kind(store, JobKind.TARGET_UPDATE)

    out = coachsync("explain", name).out
    told = parts(out)
    assert told[""][0] == "e1: ann joined at 2026-01-01 00:00:00 (/hr, 4711): it changed the roster"
    assert told[""][1].startswith("came by test at 20")
    assert told["Before"] == ["not there"]
    assert told["After"] == ["groups tier-1; usecases voice; coaching plan plan-ann"]
    asked_quota, asked_target = told["What it asked for"]
    assert asked_quota.startswith(f"the rule 'voice quota' asked for {QUOTA}: {quota} pending")
    assert asked_target == (
        f"the rule 'everybody' asked for {identity_of('ann')}: {target} succeeded:"
        " the remote answered with what was wished"
    )

    story = coachsync.json("explain", name)
    assert (story["what"], story["event"], story["id"], story["source"]) == ("event", "e1", "4711", "/hr")
    assert (story["agent"], story["state"], story["outcome"]) == ("ann", "planned", "applied")
    assert story["told"]["data"]["agent"] == "ann"
    assert (story["before"], story["after"]["groups"]) == (None, ["tier-1"])
    assert [(one["rule"], one["resource"]) for one in story["asks"]] == [
        ("voice quota", QUOTA),
        ("everybody", identity_of("ann")),
    ]
    assert [one["job"]["job"] for one in story["asks"]] == [quota, target]
    ended = story["asks"][1]["endedAs"]
    assert (ended["job"], ended["state"], ended["result"]) == (target, "succeeded", "applied")
    assert story["asks"][1]["want"]["target"] == 75


def test_an_event_whose_quota_was_asked_again_tells_what_that_came_to(
    store: Database, coachsync: Command, centre: Centre
) -> None:
    first = job_of_kind(store, JobKind.QUOTA_RECALCULATION)
    centre.tell(event("joined", "bob", 1))
    centre.plan()
    second = job_of_kind(store, JobKind.QUOTA_RECALCULATION)
    (asked, _) = parts(coachsync("explain", "e1").out)["What it asked for"]
    assert f": {first}, then {second} pending" in asked
    story = coachsync.json("explain", "e1")["asks"][0]
    assert (story["job"]["state"], story["endedAs"]["job"]) == ("superseded", second)


def test_an_event_that_waits_has_asked_for_nothing_yet(store: Database, coachsync: Command) -> None:
    Centre(store).tell(event("joined", "ann"))
    out = coachsync("explain", "e1").out
    assert out.splitlines()[0].endswith(": it waits for the planner")
    assert parts(out)["What it asked for"] == ["nothing yet"]
    assert (coachsync.json("explain", "e1")["state"], coachsync.json("explain", "e1")["asks"]) == ("waiting", [])


def test_an_event_that_the_guard_holds_says_who_can_let_it_in_and_claims_no_change(
    store: Database, coachsync: Command
) -> None:
    centre = Centre(store, guard=NARROW)
    centre.tell(*(event("joined", f"a{number}") for number in range(9)))
    centre.tell(event("left", "a1", 5), event("left", "a2", 5), hold=True)
    out = coachsync("explain", "e10").out
    told = parts(out)
    assert told[""][0].endswith(": the guard holds it back: coachsync approvals show 1")
    assert told[""][2].startswith(f"approval 1: waiting: {PROFILE}: 2 of 9 agents would leave")
    assert "After" not in told
    assert told["What it asked for"] == ["nothing yet"]

    with store.write() as session:
        approvals.decide(session, 1, approved=False, by="kim")
        session.execute(update(roster_events).where(roster_events.c.seq > 9).values(state="rejected"))
    out = coachsync("explain", "e10").out
    assert out.splitlines()[0].endswith(": it was refused with approval 1: it changed nothing")
    assert parts(out)["What it asked for"] == ["nothing"]
    assert coachsync.json("explain", "e10")["approval"].startswith("approval 1: rejected by kim: ")


@pytest.mark.parametrize(
    ("late", "why"),
    [
        (event("moved", "ann", -5, groups=["night"]), "newer facts were known: it changed nothing"),
        (event("moved", "ann", 5, groups=["tier-1"]), "the roster said so already: it changed nothing"),
    ],
)
@pytest.mark.usefixtures("centre")
def test_an_event_that_changed_nothing_says_why(store: Database, coachsync: Command, late: object, why: str) -> None:
    Centre(store).tell(late)  # type: ignore[arg-type]  # an event
    Centre(store).plan()
    out = coachsync("explain", "e2").out
    assert out.splitlines()[0].endswith(f": {why}")
    assert parts(out)["What it asked for"] == ["nothing"]


def test_an_event_that_no_rule_is_about_says_that_nothing_followed(store: Database, coachsync: Command) -> None:
    centre = Centre(store)
    centre.tell(event("joined", "ann", usecases=[]))
    centre.plan()
    asked = parts(coachsync("explain", "e1").out)["What it asked for"]
    assert asked == ["nothing: by the policy that was in force nothing followed from it"]


def test_a_snapshot_is_a_whole_roster_and_refers_to_the_events_that_it_stands_for(
    store: Database, coachsync: Command
) -> None:
    centre = Centre(store)
    centre.tell(snapshot(["ann", "bob"], 3))
    centre.plan()
    story = coachsync.json("explain", "e1")
    out = coachsync("explain", "e1").out
    assert out.startswith(f"e1: a whole roster at 2026-01-01 03:00:00 (/hr, {story['id']}): it changed the roster\n")
    told = parts(out)
    assert "Before" not in told
    assert told["What it asked for"][0].startswith("nothing itself: each change that it stands for is an event")
    assert (story["agent"], story["after"], len(story["told"]["data"]["agents"])) == ("", None, 2)
    assert coachsync("explain", f"{story['id']}/bob").out.startswith("e3: bob joined")


def test_what_stands_in_the_way_of_a_wish_is_told_with_its_rule(store: Database, coachsync: Command) -> None:
    centre = Centre(store)
    centre.tell(event("joined", "ann"))
    centre.plan()
    (_, asked) = parts(coachsync("explain", "e1").out)["What it asked for"]
    assert asked == (
        f"the rule 'everybody' asked for {identity_of('ann')}: nobody knows yet whether the remote has such a target;"
        " the reconciliation lists the remote's targets next, and then it goes on by itself"
    )
    story = coachsync.json("explain", "e1")["asks"][1]
    assert (story["job"], story["endedAs"]) == (None, None)
    assert story["want"]["obstacle"].startswith("nobody knows yet whether the remote has such a target")


def test_a_target_that_is_wanted_no_more_before_it_was_asked_for_is_told_so(
    store: Database, coachsync: Command
) -> None:
    centre = Centre(store)
    centre.tell(event("joined", "ann"))
    centre.plan()
    centre.tell(event("left", "ann", 1))
    centre.plan()
    assert parts(coachsync("explain", "e1").out)["What it asked for"][1].endswith(": it is not wanted any more")


def test_a_quota_that_nobody_was_there_to_be_asked_for_is_still_wanted(store: Database, coachsync: Command) -> None:
    """Somebody has taken the customer's remote out of the settings."""
    centre = Centre(store, Policy(quotas=(quota_rule(),)))
    centre.tell(event("joined", "ann"))
    centre.plan()
    centre.tell(event("joined", "bob", 1))
    nobody = Placing(lambda customer: NoRemote(customer, "no remote serves it"), "policy")
    with store.write() as session:
        force = policies.in_force(session)
        assert force
        plan_events(session, force, nobody)
    (asked,) = parts(coachsync("explain", "e2").out)["What it asked for"]
    assert asked.endswith(f"{QUOTA}: nobody was there to be asked; it is asked for once somebody is")


def test_a_job_that_is_too_old_to_be_kept_is_still_named(store: Database, coachsync: Command, centre: Centre) -> None:
    target = job_of_kind(store, JobKind.TARGET_UPDATE)
    with store.write() as session:
        session.execute(delete(jobs).where(jobs.c.kind == JobKind.TARGET_UPDATE))
    (_, asked) = parts(coachsync("explain", "e1").out)["What it asked for"]
    assert asked.endswith(f"{identity_of('ann')}: {target}, which is too old to be kept")
    assert all_asks(store)[1].job_id is not None
    assert centre.wants()["ann"].asked


# An agent


@on_both
def test_an_agent_is_told_with_what_is_wanted_and_what_they_went_through(
    store: Database, coachsync: Command, centre: Centre
) -> None:
    centre.tell(event("moved", "ann", 1, groups=["tier-2"]))
    centre.plan()
    target = format_job_id(target_jobs(store)[-1].id)

    told = parts(coachsync("explain", "ann").out)
    assert told[""] == [f"ann of {PROFILE}: groups tier-2; usecases voice; coaching plan plan-ann"]
    (want,) = told["What the policy wants"]
    assert want.startswith(f"85 for {identity_of('ann')}, by the rule 'second tier' since 20")
    assert want.endswith(f": asked for as {target}")
    assert [line.partition(" at ")[0] for line in told["Events"]] == ["e2: ann moved", "e1: ann joined"]
    assert told["Events"][0].endswith("): it changed the roster")

    story = coachsync.json("explain", "ann")
    assert (story["what"], story["agent"], story["active"]) == ("agent", "ann", True)
    assert story["record"]["groups"] == ["tier-2"]
    assert [(one["rule"], one["target"], one["job"]) for one in story["wants"]] == [("second tier", 85, target)]
    assert ([one["event"] for one in story["events"]], story["eventsTold"]) == (["e2", "e1"], 2)


def test_an_agent_s_want_that_is_hindered_says_by_what(store: Database, coachsync: Command) -> None:
    centre = Centre(store, Policy(targets=(target_rule(create=False),)))
    centre.tell(event("joined", "ann"))
    centre.plan()
    listed(store)
    centre.plan()
    (want,) = parts(coachsync("explain", "ann").out)["What the policy wants"]
    assert want.endswith(": the remote has no such target, and the rule 'everybody' creates none (create = true)")
    assert coachsync.json("explain", "ann")["wants"][0]["obstacle"] == want_of(store, "ann").obstacle


def test_an_agent_in_their_first_days_says_when_that_ends(store: Database, coachsync: Command) -> None:
    centre = Centre(store, POLICY)
    centre.tell(event("joined", "ann", joinedAt=utc_now().isoformat()))
    centre.plan()
    told = parts(coachsync("explain", "ann").out)
    assert told["What the policy wants"][0].startswith("60 for ")
    assert told["Next"][0].startswith("a rule ends or begins for them at 20")
    assert coachsync.json("explain", "ann")["reviewAt"] is not None


def test_an_agent_who_has_left_is_not_there_and_nothing_is_wanted(coachsync: Command, centre: Centre) -> None:
    centre.tell(event("left", "ann", 1))
    centre.plan()
    told = parts(coachsync("explain", "ann").out)
    assert told[""] == [f"ann of {PROFILE}: not there"]
    assert told["What the policy wants"] == ["nothing"]
    assert coachsync.json("explain", "ann")["active"] is False


def test_of_many_events_of_an_agent_the_newest_are_told(coachsync: Command, centre: Centre) -> None:
    centre.tell(*(event("moved", "ann", number, groups=[f"g{number}"]) for number in range(1, 6)))
    told = parts(coachsync("explain", "ann", "--limit", 2).out)
    assert [line.partition(":")[0] for line in told["Events, the newest 2 of 6"]] == ["e6", "e5"]
    assert coachsync.json("explain", "ann", "--limit", 2)["eventsTold"] == 6


# A job


@on_both
def test_a_job_that_a_rule_asked_for_leads_back_to_the_event_and_on_to_the_outcome(
    store: Database, coachsync: Command, centre: Centre
) -> None:
    work(store)
    target = job_of_kind(store, JobKind.TARGET_UPDATE)

    out = coachsync("explain", target).out
    order = [
        f"Job {target}: succeeded",
        "(policy, what the policy wants)",
        f"asked for {name_of('ann')}",
        "asked for by the rule 'everybody', because of e1: ann joined at 2026-01-01 00:00:00 (/hr, 4711)",
        "HTTP 200",
        "the remote showed 75",
    ]
    assert sorted(order, key=out.index) == order

    story = coachsync.json("explain", target)
    assert story["askedForByCount"] == 1
    assert story["askedForBy"] == [
        {
            "rule": "everybody",
            "event": "e1",
            "source": "/hr",
            "id": "4711",
            "type": "coaching.roster.agent.joined",
            "agent": "ann",
            "time": "2026-01-01T00:00:00Z",
        }
    ]
    assert (story["state"], story["known"]["target"]) == ("succeeded", 75)
    assert centre.wants()["ann"].rule == "everybody"


@on_both
def test_a_storm_that_became_one_job_is_told_with_its_newest_events_and_their_number(
    store: Database, coachsync: Command
) -> None:
    centre = Centre(store, Policy(quotas=(quota_rule(),)))
    for number in range(12):
        centre.tell(event("joined", f"a{number}", number))
        centre.plan()
    (quota,) = map(format_job_id, open_jobs(store))
    told = parts(coachsync("explain", quota).out)[""]
    because = [line for line in told if line.startswith("asked for by the rule 'voice quota', because of ")]
    assert (len(because), "and because of 2 earlier events" in told) == (10, True)
    assert "because of e12: a11 joined" in because[0]
    story = coachsync.json("explain", quota)
    assert ([one["event"] for one in story["askedForBy"]], story["askedForByCount"]) == (
        [f"e{number}" for number in range(12, 2, -1)],
        12,
    )


def test_a_job_tells_nothing_of_the_events_behind_a_newer_one(store: Database, coachsync: Command) -> None:
    centre = Centre(store, Policy(quotas=(quota_rule(),)))
    for number in range(3):
        centre.tell(event("joined", f"a{number}", number))
        centre.plan()
    second = sorted(all_jobs(store))[1]
    story = coachsync.json("explain", format_job_id(second))
    assert (story["state"], [one["event"] for one in story["askedForBy"]]) == ("superseded", ["e2", "e1"])


def test_a_job_of_a_file_has_no_event_behind_it(store: Database, coachsync: Command, centre: Centre) -> None:
    (id_,) = job_ids(store, wish(1))
    story = coachsync.json("explain", format_job_id(id_))
    assert (story["askedForBy"], story["askedForByCount"]) == ([], 0)
    assert "because of" not in coachsync("explain", format_job_id(id_)).out
    assert centre.wants()


def test_a_new_policy_asks_without_an_event(store: Database, coachsync: Command, centre: Centre) -> None:
    work(store)
    centre.policy = Policy(targets=(target_rule(target=76),))
    centre.plan()
    story = coachsync.json("explain", format_job_id(target_jobs(store)[-1].id))
    assert (story["wish"]["target"], story["askedForBy"]) == (76, [])


# Which one is meant


@pytest.mark.parametrize("name", ["17", "17-203", "e17"])
def test_an_id_of_the_source_that_reads_like_one_of_ours_is_found_where_ours_is_not_there(
    store: Database, coachsync: Command, name: str
) -> None:
    Centre(store).tell(event("joined", name, coachingPlanName=""))
    assert coachsync.json("explain", name)["what"] == "agent"
    Centre(store).tell(event("left", "nobody", id_=name))
    said = coachsync("explain", name)
    assert said.out.startswith("e2: nobody left")
    assert said.err == f"{name!r} names several: e2 of /hr, {PROFILE}/agents/{name}; the first is told\n"


def test_ours_comes_first_and_the_others_are_named_so_that_each_can_be_asked_for(
    store: Database, coachsync: Command
) -> None:
    settle(store, wish(1))
    Centre(store).tell(event("joined", "1", coachingPlanName="", id_="1"))
    said = coachsync("explain", "1")
    assert said.out.startswith("Batch 1: ")
    assert said.err == f"'1' names several: batch 1, e1 of /hr, {PROFILE}/agents/1; the first is told\n"
    assert coachsync.json("explain", f"{PROFILE}/agents/1")["what"] == "agent"
    assert coachsync.json("explain", "e1")["what"] == "event"


def test_an_agent_of_several_profiles_is_told_by_the_whole_name(store: Database, coachsync: Command) -> None:
    other = PROFILE.replace("support", "sales")
    for profile in (PROFILE, other):
        Centre(store).tell(event("joined", "ann", profile=profile, usecases=[], coachingPlanName=""))
    said = coachsync("explain", "ann")
    assert said.err == f"'ann' names several: {other}/agents/ann, {PROFILE}/agents/ann; the first is told\n"
    assert coachsync.json("explain", f"{PROFILE}/agents/ann")["profile"] == PROFILE


def test_an_event_id_of_several_sources_is_told_by_its_number(store: Database, coachsync: Command) -> None:
    for source in ("/hr", "/wfm"):
        one = event("joined", "ann", id_="4711").model_copy(update={"source": source})
        Centre(store).tell(one)
    assert coachsync("explain", "4711").err == "'4711' names several: e1 of /hr, e2 of /wfm; the first is told\n"
    assert coachsync.json("explain", "e2")["source"] == "/wfm"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("e9", "EVENT: there is no event e9; it may have been pruned"),
        ("9", "BATCH: there is no batch 9; it may have been pruned"),
        ("9-1", "JOB: there is no job 9-1: batch 9 has no row 1, or it was pruned"),
        ("nobody", "NAME|JOB|BATCH|EVENT|AGENT|MESSAGE: 'nobody' is none of these, or is not known: a job (17-203), "),
        (f"{PROFILE}/agents/nobody", f"NAME: nothing is known of {PROFILE}/agents/nobody"),
        ("e0", "NAME|JOB|BATCH|EVENT|AGENT|MESSAGE: 'e0' is none of these"),
        ("e9999999999999999999", "NAME|JOB|BATCH|EVENT|AGENT|MESSAGE: 'e9999999999999999999' is none of these"),
        ("", "NAME|JOB|BATCH|EVENT|AGENT|MESSAGE: '' is none of these"),
    ],
)
def test_what_nobody_knows_is_one_line_that_says_what_can_be_asked_for(
    coachsync: Command, name: str, says: str
) -> None:
    said = coachsync("explain", name, code=2)
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(f"error: {says}")


def test_nothing_that_a_source_says_steers_a_terminal(store: Database, coachsync: Command) -> None:
    Centre(store).tell(event("joined", "a\x9b31m", id_="\u202e4711", groups=["\x9b2J"], coachingPlanName=""))
    for name in ("e1", "a\x9b31m"):
        assert coachsync("explain", name).out.replace("\n", "").isprintable()
