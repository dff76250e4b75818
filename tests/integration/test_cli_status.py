"""`coachsync status`: the verdict first, then what it rests on; also while the broker is away."""

import re
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import update

from schemas.lanes import Lane
from schemas.policy import Policy
from tests.integration.cli_rig import Command, command_on
from tests.integration.oversight_rig import Centre, event, target_rule
from tests.integration.store_rig import change, job_ids, job_of, settle, take, take_one, tried, wish, write
from tests.services import processes
from tests.services.stores import on_both, on_sqlite
from worker.core.decisions import Fail, Retry
from worker.store.dispatching import take_due
from worker.store.engine import Database, database_now
from worker.store.heartbeats import beat
from worker.store.models import Heartbeat
from worker.store.quarantine import put_aside
from worker.store.tables import wants

pytestmark = on_sqlite

HOUR = timedelta(hours=1)


@on_both
def test_it_tells_how_deep_each_lane_is_and_how_long_its_oldest_job_waits(store: Database, coachsync: Command) -> None:
    first, second, third = job_ids(store, *(wish(number) for number in range(4)))[:3]
    write(store, tried(take_one(store, first), Retry(HOUR, failure=True)))
    take_one(store, second)
    with store.read() as session:
        an_hour_ago = database_now(session) - HOUR
    change(store, [third], due_at=an_hour_ago)
    with store.write() as session:
        take_due(session, "default", Lane.BULK, 1)
    urgent = job_of(store, wish(9), lane=Lane.INTERACTIVE)
    change(store, [urgent], remote="emea")

    said = coachsync.json("status")

    bulk, interactive = said["lanes"]
    assert {name: bulk[name] for name in ("remote", "lane", "due", "later", "published", "running")} == {
        "remote": "default", "lane": "bulk", "due": 2, "later": 1, "published": 1, "running": 1,
    }  # fmt: skip
    assert 3600 <= bulk["oldestDueSeconds"] < 3660
    assert bulk["nextAt"] is not None
    assert (interactive["remote"], interactive["lane"], interactive["due"]) == ("emea", "interactive", 1)
    assert said["oldestDue"]["job"] == "1-3"
    assert said["jobs"] == {"open": 5, "succeeded": 0, "failed": 0, "superseded": 0, "cancelled": 0}
    assert "1 job waits for the remote emea, which the settings do not name" in said["verdict"]


def test_it_counts_what_failed_by_code_and_the_batches_that_are_open(store: Database, coachsync: Command) -> None:
    settle(store, wish(1))
    ids = job_ids(store, wish(2), wish(3), wish(4), wish(5))
    codes = ["not_found", "mismatch", "not_found"]
    write(store, *(tried(one, Fail(code, "no")) for one, code in zip(take(store, *ids[:3]), codes, strict=True)))
    said = coachsync.json("status")
    assert said["failed"] == [{"errorCode": "not_found", "count": 2}, {"errorCode": "mismatch", "count": 1}]
    assert said["jobs"] == {"open": 1, "succeeded": 1, "failed": 3, "superseded": 0, "cancelled": 0}
    assert said["batches"] == {"kept": 2, "open": 1}
    assert "Failed: 2 not_found, 1 mismatch\n" in coachsync("status").out


def test_it_works_while_the_broker_is_away_and_says_so_first(store: Database, coachsync: Command) -> None:
    job_of(store, wish(1))
    with store.write() as session:
        put_aside(session, "default", "not let in")
    said = coachsync("status").out
    assert said.startswith("the broker cannot be reached: nothing is sent until it is back")
    assert "default: in quarantine since" in said
    assert "Workers: unknown" in said
    report = coachsync.json("status")
    assert (report["well"], report["broker"]["reachable"]) == (False, False)
    (remote,) = report["remotes"]
    assert (remote["quarantine"]["reason"], remote["limits"], remote["inFlight"]) == ("not let in", [], None)


def test_an_empty_store_is_told_too(coachsync: Command) -> None:
    assert coachsync.json("status")["oldestDue"] is None
    assert "Jobs: 0 open" in coachsync("status").out


def test_a_database_that_cannot_be_read_ends_it_with_1_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("no database at all, but a file of the same name" * 40)
    broken = command_on(Database(f"sqlite:///{tmp_path / 'broken.db'}"), tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "worker.cli", "status"],
        env=dict(broken.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "error: the database refused: file is not a database (coachsync doctor says more)\n"


def test_with_a_worker_and_loops_all_is_well_and_without_the_worker_it_is_not(
    store: Database, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    coachsync = command_on(store, tmp_path, broker_url=valkey, rate_limit="20/second, 300/minute")
    with store.write() as session:
        beat(session, "here:1", "loops")
    assert coachsync.json("status")["verdict"] == "no worker seen: start one with `coachsync worker`"

    worker = processes.spawn(
        [sys.executable, "-m", "worker.cli", "worker", "-c", "1"], tmp_path / "worker.log", env=dict(coachsync.environ)
    )
    processes.wait_until(lambda: bool(coachsync.json("status")["workers"]), "the worker answers", seconds=90)
    report = coachsync.json("status")
    assert (report["verdict"], report["well"]) == ("all well: 1 remote ok, 1 worker (1 process)", True)
    coachsync("remotes", "pause", "default")
    paused = f"{report['verdict']}; default is paused by a person (every lane)"
    processes.wait_until(lambda: coachsync.json("status")["verdict"] == paused, "the pause is told", seconds=30)
    (remote,) = report["remotes"]
    assert [(one["limit"], one["windowSeconds"]) for one in remote["limits"]] == [(20, 1), (300, 60)]
    assert (remote["inFlight"], remote["cooldownSeconds"], remote["rateFactor"]) == (0, 0, 1)
    told = coachsync("status").out
    assert "of 20 a second" in told
    assert "Loops: here:1\n" in told

    processes.end(worker, signal.SIGKILL)
    assert coachsync.json("status")["verdict"] == "no worker seen: start one with `coachsync worker`"


@pytest.mark.parametrize(("command", "code"), [("status", 0), ("doctor", 1)])
def test_a_look_at_the_workers_leaves_no_read_under_way(
    command: str, code: int, coachsync: Command, valkey: str
) -> None:
    with Redis.from_url(valkey) as redis:

        def reading() -> set[str]:
            return {one["id"] for one in redis.client_list() if one["cmd"] == "brpop"}

        before = reading()
        Command({**coachsync.environ, "COACHSYNC_BROKER_URL": valkey})(command, code=code)
        assert reading() <= before


def test_loops_that_have_not_been_heard_of_for_a_while_are_not_seen(store: Database, coachsync: Command) -> None:
    job_of(store, wish(1))
    with store.write() as session:
        beat(session, "there:2", "other")
    assert "; no loops seen, and 1 job waits: start them with `coachsync loops`" in coachsync.json("status")["verdict"]
    with store.write() as session:
        beat(session, "here:1", "loops")
    assert [one["name"] for one in coachsync.json("status")["loops"]] == ["here:1"]
    with store.write() as session:
        session.get_one(Heartbeat, "here:1").seen_at = database_now(session) - timedelta(minutes=5)
    said = coachsync.json("status")
    assert said["loops"] == []
    assert re.search(r"; no loops seen for 5 min 0\d s, and 1 job waits: start them with", said["verdict"])


@on_both
def test_it_tells_in_one_line_what_of_the_roster_has_not_come_to_anything_yet(
    store: Database, coachsync: Command
) -> None:
    assert "Roster" not in coachsync("status").out
    assert coachsync.json("status")["roster"] == {"eventsWaiting": 0, "eventsHeld": 0, "wantsHindered": 0}
    centre = Centre(store, Policy(targets=(target_rule(),)))
    centre.tell(*(event("joined", f"a{number}") for number in range(30)))
    centre.plan()
    with store.write() as session:
        session.execute(update(wants).where(wants.c.agent == "a0").values(obstacle=None))
    centre.tell(event("joined", "zoe"))
    centre.tell(*(event("left", f"a{number}", 1) for number in range(20)), hold=True)
    told = coachsync("status").out.splitlines()
    assert "Roster events: 1 waiting, 20 held; wanted targets with an obstacle: 29" in told
