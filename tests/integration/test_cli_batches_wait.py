"""`coachsync batches wait`: it watches until the end, says how it ended, and to stop watching stops no work."""

import signal
import threading
from pathlib import Path

import pytest

from schemas.jobs import JobState
from tests.integration.cli_rig import Command, command_on
from tests.integration.store_rig import (
    TEMPLATE,
    USECASE,
    applied,
    job_ids,
    job_of,
    name_of,
    states,
    take,
    take_one,
    tried,
    wish,
    write,
)
from tests.services.postgres import PostgresServer
from tests.services.stores import on_sqlite
from worker.core.decisions import Fail
from worker.store.engine import Database
from worker.store.steering import cancel

pytestmark = on_sqlite


def test_a_batch_whose_jobs_all_succeeded_or_gave_way_to_newer_wishes_ends_with_0(
    store: Database, coachsync: Command
) -> None:
    ids = job_ids(store, wish(1), wish(2))
    newer = job_of(store, wish(1, 60))
    write(store, *(applied(one) for one in take(store, *ids, newer)))
    ended = coachsync.json("batches", "wait", 1)
    assert (ended["batch"], ended["succeeded"], ended["superseded"], ended["open"]) == (1, 1, 1, 0)
    assert "2 accepted = 1 succeeded + 0 failed + 1 superseded + 0 cancelled\n" in coachsync("batches", "wait", 1).out


def test_a_failed_job_ends_it_with_1_and_each_code_has_its_count_an_example_and_the_way_to_the_others(
    store: Database, coachsync: Command
) -> None:
    ids = job_ids(store, wish(1), wish(2), wish(3))
    reasons = [Fail("not_found", "gone"), Fail("mismatch", "50 \x1b[31m"), Fail("not_found", "also gone")]
    write(store, *(tried(one, reason) for one, reason in zip(take(store, *ids), reasons, strict=True)))

    told = coachsync("batches", "wait", 1, code=1).out.splitlines()

    assert told[3:] == [
        f"  2 failed with not_found, such as 1-1, {name_of(1)}: gone",
        "    coachsync jobs list --batch 1 --error not_found",
        f"  1 failed with mismatch, such as 1-2, {name_of(2)}: 50 \\x1b[31m",
        "    coachsync jobs list --batch 1 --error mismatch",
    ]
    found = coachsync.json("batches", "wait", 1, code=1)
    assert [(one["errorCode"], one["count"], one["example"]) for one in found["errors"]] == [
        ("not_found", 2, "1-1"),
        ("mismatch", 1, "1-2"),
    ]
    assert len(coachsync.json(*told[4].split()[1:])) == 2


def test_the_first_rejected_rows_are_shown(coachsync: Command) -> None:
    rows = [f"{name_of(number)},{TEMPLATE},{USECASE},many" for number in range(5)]
    Path("targets.csv").write_text("\n".join(["name,scorecardTemplateName,usecaseName,target", *rows]))
    coachsync("targets", "apply", "targets.csv", code=1)
    reason = "target: 'many' is no number; write it like 82.5"
    assert coachsync("batches", "wait", 1).out.splitlines()[3:] == [
        *(f"  rejected: line {line}: {reason}" for line in (2, 3, 4)),
        "  rejected: 2 more rows: coachsync batches show 1",
    ]
    assert [one["line"] for one in coachsync.json("batches", "wait", 1)["rejections"]] == [2, 3, 4]


def test_a_cancelled_job_is_no_success(store: Database, coachsync: Command) -> None:
    with store.write() as session:
        cancel(session, job_ids(store, wish(1)))
    coachsync("batches", "wait", 1, code=1)


def test_after_the_timeout_it_ends_with_4_and_says_how_far_it_has_come(store: Database, coachsync: Command) -> None:
    job_of(store, wish(1))
    said = coachsync("batches", "wait", 1, "--timeout", 0, "--json", code=4)
    assert (said.json["open"], said.json["completedAt"]) == (1, None)
    assert said.err == "Not ended in time; the work goes on. To watch again: coachsync batches wait 1\n"


def test_an_unknown_batch_is_not_waited_for(coachsync: Command) -> None:
    assert coachsync("batches", "wait", 7, code=2).err == "error: BATCH: there is no batch 7 (coachsync batches list)\n"


def test_it_waits_for_the_last_job_and_tells_a_log_how_it_goes(
    store: Database, coachsync: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.cli.watch.LOOK_EVERY", 0.01)
    monkeypatch.setattr("worker.cli.watch.LINE_EVERY", 0.05)
    first, last = job_ids(store, wish(1), wish(2))
    write(store, applied(take_one(store, first)))
    ending = threading.Timer(0.5, lambda: write(store, applied(take_one(store, last))))
    ending.start()
    said = coachsync("batches", "wait", 1, "--timeout", 30)
    ending.join()
    assert states(store, [last]) == [JobState.SUCCEEDED]
    assert said.err.startswith("batch 1: 1 of 2 ended, 0.0/s, nothing ends\n")


def test_where_nothing_ends_it_points_to_status_once(
    store: Database, coachsync: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.cli.watch.LOOK_EVERY", 0.01)
    monkeypatch.setattr("worker.cli.watch.QUIET_FOR", 0.05)
    job_of(store, wish(1))
    said = coachsync("batches", "wait", 1, "--timeout", 0.5, code=4)
    assert said.err.count("`coachsync status` says what stands in the way") == 1


def test_ctrl_c_stops_the_watching_and_says_how_to_go_on(store: Database, coachsync: Command) -> None:
    one = job_of(store, wish(1))
    with coachsync.on_a_terminal("batches", "wait", 1) as watching:
        watching.wait_for("batch 1")
        watching.process.send_signal(signal.SIGINT)
        said = watching.end()
    assert said.code == 130
    assert "the work goes on. To watch again: coachsync batches wait 1" in said.err
    assert states(store, [one]) == [JobState.PENDING]


@pytest.mark.postgres
def test_it_outlives_a_restart_of_the_database(
    postgres_server: PostgresServer, postgres_store: Database, tmp_path: Path
) -> None:
    one = job_of(postgres_store, wish(1))
    with command_on(postgres_store, tmp_path).on_a_terminal("batches", "wait", 1, "--json") as watching:
        watching.wait_for("batch 1")
        postgres_server.stop()
        watching.wait_for("The database cannot be reached just now")
        postgres_server.restart()
        write(postgres_store, applied(take_one(postgres_store, one)))
        said = watching.end()
    assert (said.code, '"succeeded": 1' in said.out) == (0, True)
