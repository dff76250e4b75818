"""`coachsync approvals`: what the guard has stopped is shown with its numbers, and a person decides once."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.integration.cli_rig import Command, command_on
from tests.integration.guard_rig import NOON
from tests.integration.roster_rig import NARROW, approval, rows, states, submit, there, told, told_all
from tests.services.stores import on_both, on_sqlite
from worker.intake.roster_delivery import Door, Entry, deliver
from worker.store import approvals
from worker.store.engine import Database
from worker.store.tables import approvals as table

pytestmark = on_sqlite

CENTRE = tuple(f"a{number:02}" for number in range(20))
DAY = timedelta(hours=24)


def ask(store: Database, door: str = "targets", reason: str = "too much") -> int:
    with store.write() as session:
        return approvals.request(session, approvals.Asked(door, "digest", "a file", reason), DAY).id


def hold(store: Database, how_many: int = 10) -> None:
    """Half of a centre leaves by the stream, where nobody waits for an answer."""
    submit(store, [told_all(CENTRE, 0)])
    events = [told("left", agent, 1) for agent in CENTRE[:how_many]]
    deliver(store, [Entry(one["id"], json.dumps(one)) for one in events], Door("stream", "a stream"), NARROW)


@on_both
def test_yes_takes_the_events_that_were_held_and_says_how_many(store: Database, coachsync: Command) -> None:
    hold(store)
    assert (
        coachsync("approvals", "approve", 1, "--by", "ann").out == "Approved. The events held for it (10) were taken.\n"
    )
    assert there(store) == set(CENTRE[10:])
    assert "held" not in states(store)
    assert (approval(store, 1).state, approval(store, 1).decided_by) == ("approved", "ann")


@on_both
def test_no_leaves_the_roster_as_it_is(store: Database, coachsync: Command) -> None:
    hold(store)
    said = coachsync.json("approvals", "reject", 1, "--by", "ann")
    assert (said["state"], said["heldEvents"], said["decidedBy"]) == ("rejected", 10, "ann")
    assert there(store) == set(CENTRE)
    assert states(store)["rejected"] == 10


@on_both
def test_of_several_who_decide_at_once_one_does_and_the_others_are_told_who(store: Database, tmp_path: Path) -> None:
    """Each with a process of its own."""
    hold(store)
    coachsync = command_on(store, tmp_path)

    def decide(turn: int) -> str:
        word = "approve" if turn % 2 else "reject"
        with coachsync.on_a_terminal("approvals", word, 1, "--by", f"p{turn}") as session:
            said = session.end()
        return said.out if said.code == 0 else said.err

    with ThreadPoolExecutor(3) as people:
        told_ = list(people.map(decide, range(3)))
    decided = approval(store, 1)
    assert sum(one.startswith(("Approved", "Rejected")) for one in told_) == 1
    assert sum(f"was {decided.state} by {decided.decided_by} at" in one for one in told_) == 2
    assert len(there(store)) == (10 if decided.state == "approved" else 20)


def test_what_was_decided_or_has_expired_is_not_decided_again(store: Database, coachsync: Command) -> None:
    ask(store)
    coachsync("approvals", "approve", 1, "--by", "ann")
    assert "error: approval 1 was approved by ann at " in coachsync("approvals", "reject", 1, code=2).err
    with store.write() as session:
        session.execute(update(table).values(state="waiting", expires_at=NOON))
    said = coachsync("approvals", "approve", 1, code=2)
    assert said.err == "error: approval 1 has expired at 2026-01-01T12:00:00Z: what it was for asks anew\n"
    assert approval(store, 1).state == "waiting"


def test_the_list_has_the_reason_and_the_state_newest_first(store: Database, coachsync: Command) -> None:
    assert "the guard has stopped nothing" in coachsync("approvals", "list").err
    ask(store, reason="12 of 40 agents would leave")
    ask(store, "policy")
    coachsync("approvals", "reject", 2)
    listed = coachsync.json("approvals", "list")
    assert [(one["approval"], one["state"], one["door"]) for one in listed] == [
        (2, "rejected", "policy"),
        (1, "waiting", "targets"),
    ]
    assert [one["approval"] for one in coachsync.json("approvals", "list", "--waiting")] == [1]
    assert "12 of 40 agents would leave" in coachsync("approvals", "list").out
    with store.write() as session:
        session.execute(update(table).values(expires_at=NOON))
    assert [one["state"] for one in coachsync.json("approvals", "list")] == ["rejected", "expired"]
    assert "nothing waits for approval" in coachsync("approvals", "list", "--waiting").err


def test_one_is_shown_with_the_events_that_wait_for_it(store: Database, coachsync: Command) -> None:
    hold(store)
    shown = coachsync.json("approvals", "show", 1)
    assert (shown["state"], shown["heldEvents"], shown["subject"]) == ("waiting", 10, "a stream")
    assert "10 of 20 agents would leave" in shown["reason"]
    assert "coachsync approvals show 1" in coachsync("explain", f"e{rows(store)[-1].seq}").out


@pytest.mark.parametrize(
    ("door", "said"),
    [("policy", "Approved. `coachsync loops` brings the policy into force."), ("targets", "Approved until ")],
)
def test_who_says_yes_is_told_what_happens_next(store: Database, coachsync: Command, door: str, said: str) -> None:
    assert coachsync("approvals", "approve", ask(store, door)).out.startswith(said)


@pytest.mark.parametrize("word", ["show", "approve", "reject"])
def test_a_number_that_there_is_not_is_said(coachsync: Command, word: str) -> None:
    said = coachsync("approvals", word, 7, code=2)
    assert said.err == "error: APPROVAL: there is no approval 7 (coachsync approvals list)\n"


def test_the_user_of_the_shell_decides_unless_it_is_said_who(store: Database, coachsync: Command) -> None:
    coachsync("approvals", "approve", ask(store))
    assert approval(store, 1).decided_by
