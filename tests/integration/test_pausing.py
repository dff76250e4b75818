"""A person pauses a remote, or one lane of it: nothing is sent there until a person resumes it."""

from schemas.ids import format_job_id
from schemas.lanes import Lane
from tests.integration.cli_rig import Command
from tests.integration.store_rig import job_of, wish
from tests.services.stores import on_both, on_sqlite
from worker.store import gate, pauses
from worker.store.engine import Database

pytestmark = on_sqlite


def paused(store: Database) -> set[Lane]:
    """As dispatcher and reconciler ask, and as a worker looks before each claim."""
    with store.read() as session:
        asked = {lane for lane in Lane if gate.look(session, "default", lane).paused}
        assert {lane for lane in Lane if gate.look(session, "default", lane).shut} == asked
    return asked


@on_both
def test_one_lane_is_paused_and_resumed_and_the_other_goes_on(store: Database, coachsync: Command) -> None:
    said = coachsync.json("remotes", "pause", "default", "--lane", "bulk", "--by", "ann", "--because", "their release")
    assert said["changed"]
    assert [(one["lane"], one["by"], one["why"]) for one in said["halts"]] == [("bulk", "ann", "their release")]
    assert paused(store) == {Lane.BULK}
    assert coachsync("remotes", "resume", "default", "--lane", "bulk").out == "default is sent to again.\n"
    trail = [(one["action"], one["subject"], one["door"]) for one in coachsync.json("audit", "list")]
    assert trail == [(f"{what}-remote", "remote default bulk", "command") for what in ("resume", "pause")]
    assert paused(store) == set()


@on_both
def test_a_whole_remote_is_paused_until_every_pause_of_it_is_resumed(store: Database, coachsync: Command) -> None:
    coachsync("remotes", "pause", "default", "--lane", "interactive")
    coachsync("remotes", "pause", "default")
    assert paused(store) == set(Lane)
    coachsync("remotes", "resume", "default", "--lane", "interactive")
    assert paused(store) == set(Lane), "the whole remote is still paused"
    coachsync("remotes", "resume", "default")
    assert paused(store) == set()


def test_who_paused_it_first_stays_its_owner(coachsync: Command) -> None:
    coachsync("remotes", "pause", "default", "--by", "ann")
    said = coachsync("remotes", "pause", "default", "--by", "bob")
    assert said.out == "Every lane of default was paused already; that stays as it is.\n"
    (remote,) = coachsync.json("remotes", "list")
    assert (remote["state"], remote["why"]) == ("paused", "paused by ann")


def test_a_release_ends_what_the_remote_asked_for_and_not_what_a_person_did(
    store: Database, coachsync: Command
) -> None:
    coachsync("remotes", "pause", "default", "--lane", "bulk")
    with store.write() as session:
        pauses.end_all(session, "default")
    assert paused(store) == {Lane.BULK}


def test_a_job_that_waits_for_it_says_so_and_how_it_ends(store: Database, coachsync: Command) -> None:
    waiting = job_of(store, wish("a"))
    coachsync("remotes", "pause", "default", "--lane", "bulk", "--by", "ann")
    said = coachsync("explain", format_job_id(waiting)).out
    assert "the bulk lane of default is paused since" in said
    assert "coachsync remotes resume default --lane bulk" in said
    assert "paused by ann" in coachsync("status").out


def test_a_remote_that_nobody_knows_is_refused(coachsync: Command) -> None:
    assert "there is no remote 'nowhere'" in coachsync("remotes", "pause", "nowhere", code=2).err
