"""`coachsync targets plan` says what would be done and does nothing; `targets apply PLAN` does that and no more."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_adapter.outcomes import Operation
from schemas.jobs import JobState
from tests.integration.apply_rig import COLUMNS, Program, file, program_like, rejected
from tests.integration.plan_rig import MUTATING, TARGETS, Site, actions, line, planning_site, targets_file
from tests.integration.store_rig import all_jobs, assert_adds_up, batch
from tests.services.stores import on_both, on_sqlite
from worker.store.engine import Database

pytestmark = on_sqlite


@pytest.fixture
def site(store: Database, tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)
    with planning_site(store, tmp_path, valkey) as site:
        yield site


@pytest.fixture
def program(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Program]:
    with program_like(site.coachsync, monkeypatch, capsys) as program:
        yield program


def mixed() -> None:
    """A row of each kind: changed, as it is, not there, twice, wrong, and for something else."""
    targets_file(
        line(1, 42),
        line(2, TARGETS[2].target),
        line(3, 50, name=f"{TARGETS[3].name}-gone"),
        line(4, 10),
        line(4, 20),
        line(5, 101),
        line(6, 30, usecaseName=TARGETS[7].usecase_name),
    )


# What a plan says


@on_both
def test_a_plan_that_has_looked_says_what_each_row_would_do(store: Database, site: Site) -> None:
    mixed()
    plan = site.plan("--refresh")
    assert actions(plan) == {"change": 2, "unchanged": 1, "superseded": 1, "refused": 3}
    rows = {row["line"]: row for row in plan["rows"]}
    assert (rows[2]["action"], rows[2]["from"], rows[2]["to"]) == ("change", TARGETS[1].target, 42)
    assert rows[3]["action"] == "unchanged"
    assert (rows[4]["action"], rows[4]["reason"]) == ("refused", "the remote has no such target")
    assert (rows[5]["action"], rows[5]["reason"]) == ("superseded", "row 5 is newer")
    assert (rows[7]["action"], rows[7]["field"]) == ("refused", "target")
    assert (rows[8]["action"], rows[8]["field"]) == ("refused", "usecaseName")
    assert json.loads(Path("plan.json").read_text()) == plan
    assert all_jobs(store) == {}


def test_without_a_look_what_nobody_has_seen_may_be_there(site: Site) -> None:
    mixed()
    plan = site.plan()
    assert actions(plan) == {"create": 5, "superseded": 1, "refused": 1}
    assert {row["reason"] for row in plan["rows"] if row["action"] == "create"} == {
        "not known yet: it is sent as it is, and fails if the remote has no such target"
    }
    assert site.asked() == []


def test_planning_changes_nothing_at_the_remote_and_nothing_here_but_what_is_known(site: Site, store: Database) -> None:
    targets_file(*(line(number, 42) for number in range(40)))
    before = dict(site.sandbox.state.targets)
    for arguments in ((), ("--refresh",), ("--refresh", "--json")):
        site.coachsync("targets", "plan", "targets.csv", *arguments, code=2)
    assert not MUTATING & set(site.asked())
    assert site.sandbox.ledger.effects == []
    assert site.sandbox.state.targets == before
    assert all_jobs(store) == {}
    assert len(site.coachsync.json("targets", "list")) == 40


def test_the_exit_code_says_whether_there_is_anything_to_do(site: Site) -> None:
    plan = ("targets", "plan", "targets.csv", "--refresh")
    targets_file(line(1, TARGETS[1].target))
    assert "Nothing would be sent." in site.coachsync(*plan, code=0).out
    targets_file(line(1, 42), line(2, 101))
    site.coachsync(*plan, code=2)
    targets_file(line(2, 101))
    site.coachsync(*plan, code=1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere.csv",), "nowhere.csv: not found"),
        (("empty.csv",), "empty.csv: is empty"),
        (("targets.csv", "-o", "targets.csv"), "is the file that is planned"),
        (("targets.csv", "-o", "no/such/folder/plan.json"), "the plan cannot be written"),
        (("targets.csv", "--refesh"), "No such option"),
        ((), "Missing argument"),
    ],
)
def test_an_error_is_one_line_and_never_looks_like_changes(
    program: Program, arguments: tuple[str, ...], told: str
) -> None:
    Path("empty.csv").touch()
    targets_file(line(1, 42))
    said = program("targets", "plan", *arguments)
    assert (said.code, said.out) == (1, "")
    assert told in said.err
    assert len(said.err.splitlines()) == 1


def test_people_see_from_what_to_what_and_how_long_it_takes(site: Site) -> None:
    mixed()
    told = site.coachsync("targets", "plan", "targets.csv", "--refresh", "-o", "plan.json", code=2).out
    assert "Plan of targets.csv, 7 rows, judged by what is there as the remote showed it just now" in told
    assert "0 create · 2 change · 1 unchanged · 1 superseded by a newer wish · 3 refused" in told
    row = next(one for one in told.splitlines() if TARGETS[1].name in one)
    assert row.split() == ["2", TARGETS[1].name, f"{TARGETS[1].target:.9g}", "42"]
    assert "4 requests to default (2 reads, 2 writes), about " in told
    assert "Apply it: coachsync targets apply plan.json" in told


# The look


def test_a_look_takes_pages_where_they_are_fewer_and_single_reads_where_those_are(site: Site) -> None:
    targets_file(*(line(number, 42) for number in range(50)))
    site.plan("--refresh")
    assert set(site.asked()) == {Operation.LIST_TARGETS}
    assert len(site.asked()) < 5
    site.sandbox.ledger.arrivals.clear()
    targets_file(line(1, 42))
    site.plan("--refresh")
    assert site.asked() == [Operation.GET_TARGET]


def test_where_the_remote_lists_nothing_each_target_is_read(site: Site) -> None:
    site.lists_nothing()
    targets_file(*(line(number, 42) for number in range(20)), line(21, 42, name=f"{TARGETS[21].name}-gone"))
    plan = site.plan("--refresh")
    assert actions(plan) == {"change": 20, "refused": 1}
    assert site.asked().count(Operation.GET_TARGET) == 21


def test_a_look_keeps_to_the_fleets_limit(
    store: Database, tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with planning_site(store, tmp_path, valkey, rate_limit="10/second") as site:
        site.lists_nothing()
        targets_file(*(line(number, 42) for number in range(25)))
        site.plan("--refresh")
        times = sorted(arrival.at for arrival in site.sandbox.ledger.arrivals)
    assert len(times) == 26
    assert all(later - earlier > 1 for earlier, later in zip(times, times[10:], strict=False))


def test_what_passes_is_read_again_and_what_does_not_ends_the_command(site: Site) -> None:
    targets_file(line(1, 42))
    site.sandbox.api.script_faults([{"fault": {"kind": "status", "status": 503}, "times": 2}])
    site.plan("--refresh")
    site.sandbox.api.script_faults([{"fault": {"kind": "status", "status": 401}}])
    said = site.coachsync("targets", "plan", "targets.csv", "--refresh", code=1)
    assert "error: --refresh: default cannot be read: " in said.err
    assert len(said.err.splitlines()) == 1


def test_what_is_read_does_not_outrun_a_job_that_is_under_way(site: Site) -> None:
    targets_file(line(1, 42))
    site.coachsync("targets", "apply", "targets.csv")
    targets_file(line(1, 43))
    plan = site.plan("--refresh")
    assert plan["rows"][0]["action"] == "create"
    assert plan["rows"][0]["accepted"] == 42
    assert site.coachsync.json("targets", "list") == []


# Applying it


@on_both
def test_a_plan_is_applied_as_it_says(store: Database, site: Site) -> None:
    mixed()
    site.plan("--refresh")
    site.sandbox.ledger.arrivals.clear()

    receipt = site.coachsync.json("targets", "apply", "plan.json")

    assert (receipt["rows"], receipt["accepted"]) == (3, 3)
    assert receipt["fates"] | {"queued": 2, "unchanged": 1, "stale": 0} == receipt["fates"]
    assert set(site.work().values()) == {JobState.SUCCEEDED}
    assert (site.there(1).target, site.there(4).target) == (42, 20)
    assert len(site.sandbox.ledger.effects) == 2
    assert site.asked().count(Operation.GET_TARGET) == 2, "each change looks whether the plan is still right"
    assert batch(store, receipt["batch"]).source == "file:plan.json"
    assert_adds_up(store)
    again = site.coachsync.json("targets", "plan", "targets.csv", "--refresh", code=1)
    assert actions(again) == {"unchanged": 3, "superseded": 1, "refused": 3}


@on_both
def test_a_row_whose_target_is_known_with_something_else_now_is_skipped_and_reported(
    store: Database, site: Site
) -> None:
    targets_file(line(1, 42), line(2, 42))
    site.plan("--refresh")
    site.somebody_sets(1, 55)
    targets_file(line(1, 99), path="other.csv")
    site.coachsync("targets", "plan", "other.csv", "--refresh", code=2)

    said = site.coachsync("targets", "apply", "plan.json", code=1)

    assert "2 rows, 1 accepted, 1 rejected" in said.out
    assert "1 of the rejected are stale" in said.out
    (one,) = rejected("plan.json.rejected.csv")
    assert (one["line"], one["field"]) == ("2", "target")
    assert one["reason"].startswith("stale: the plan saw the target with 62")
    assert "it is now known with 55" in one["reason"]
    assert json.loads(one["raw"])["name"] == TARGETS[1].name
    site.work()
    assert (site.there(1).target, site.there(2).target) == (55, 42)
    assert_adds_up(store)


def test_a_row_that_somebody_has_asked_something_else_for_is_skipped(site: Site) -> None:
    targets_file(line(1, 42), line(2, 42))
    site.plan("--refresh")
    targets_file(line(1, 77), line(2, 42), path="newer.csv")
    site.coachsync("targets", "apply", "newer.csv")

    receipt = site.coachsync.json("targets", "apply", "plan.json", code=1)

    assert receipt["fates"]["stale"] == 2
    assert {one["reason"] for one in rejected("plan.json.rejected.csv")} == {
        "stale: since the plan was made 77 has been asked for",
        "stale: since the plan was made 42 has been asked for",
    }
    site.work()
    assert site.there(1).target == 77


def test_what_has_changed_at_the_remote_and_nobody_knows_is_found_before_it_is_overwritten(site: Site) -> None:
    targets_file(line(1, 42), line(2, 42))
    site.plan("--refresh")
    site.somebody_sets(1, 55)
    site.coachsync("targets", "apply", "plan.json")
    assert sorted(site.work().values()) == [JobState.FAILED, JobState.SUCCEEDED]
    assert (site.there(1).target, site.there(2).target) == (55, 42)
    (failed,) = site.coachsync.json("jobs", "list", "--error", "changed_elsewhere")
    assert "55, where 62 was expected" in failed["error"]


def test_a_target_that_was_unknown_to_the_plan_and_is_known_now_is_left_alone(site: Site) -> None:
    targets_file(line(1, 42))
    site.plan()
    site.coachsync("targets", "plan", "targets.csv", "--refresh", code=2)
    assert site.coachsync.json("targets", "apply", "plan.json", code=1)["fates"]["stale"] == 1


def test_a_plan_s_key_is_taken_once_also_with_stale_rows(site: Site, store: Database) -> None:
    targets_file(line(1, 42), line(2, 42))
    site.plan("--refresh")
    site.somebody_sets(1, 55)
    targets_file(line(1, 99), path="other.csv")
    site.coachsync("targets", "plan", "other.csv", "--refresh", code=2)
    apply = ("targets", "apply", "plan.json", "--key", "K")
    first = site.coachsync.json(*apply, code=1)
    site.work()
    again = site.coachsync.json(*apply, code=1)
    assert again == first | {"replayed": True}
    assert_adds_up(store)


def test_a_plan_applied_twice_is_stale_the_second_time(site: Site) -> None:
    targets_file(line(1, 42))
    site.plan("--refresh")
    site.coachsync("targets", "apply", "plan.json")
    site.work()
    assert site.coachsync.json("targets", "apply", "plan.json", code=1)["fates"]["stale"] == 1
    assert len(site.sandbox.ledger.effects) == 1


def test_request_keys_are_planned_as_they_will_be_taken(site: Site) -> None:
    columns = [*COLUMNS, "requestKey"]
    rows = [[*line(1, 42), "a"], [*line(1, 42), "a"], [*line(2, 42), "b"]]
    file("targets.csv", rows[2], columns=columns)
    site.coachsync("targets", "apply", "targets.csv")
    site.work()
    file("targets.csv", *rows, columns=columns)
    plan = site.plan("--refresh")
    assert [row["action"] for row in plan["rows"]] == ["change", "superseded", "unchanged"]
    receipt = site.coachsync.json("targets", "apply", "plan.json")
    assert {fate: count for fate, count in receipt["fates"].items() if count} == {"queued": 1, "repeated": 1}


def test_a_wish_that_expects_a_value_is_planned_by_what_is_there(site: Site) -> None:
    there = TARGETS[1].target
    rows = [[*line(1, 42), f"{there:g}"], [*line(2, 42), "1"]]
    file("targets.csv", *rows, columns=[*COLUMNS, "expected"])
    plan = site.plan("--refresh")
    assert [row["action"] for row in plan["rows"]] == ["change", "refused"]
    assert plan["rows"][1]["reason"] == f"the target has {TARGETS[2].target:g}, where 1 is expected"


def test_a_dry_run_says_what_has_become_stale(site: Site, store: Database) -> None:
    targets_file(line(1, 42), line(2, 42))
    site.plan("--refresh")
    targets_file(line(1, 77), path="newer.csv")
    site.coachsync("targets", "apply", "newer.csv")
    dry = site.coachsync.json("targets", "apply", "plan.json", "--dry-run", code=1)
    assert (dry["fates"]["queued"], dry["fates"]["stale"]) == (1, 1)
    assert dry["rejections"][0]["reason"] == "stale: since the plan was made 77 has been asked for"
    assert len(all_jobs(store)) == 1
    assert site.coachsync.json("targets", "apply", "plan.json", code=1)["fates"] == dry["fates"]


def test_a_plan_with_nothing_to_do_makes_no_batch(site: Site) -> None:
    targets_file(line(2, 101))
    site.plan("--refresh", code=1)
    assert "has nothing to do" in site.coachsync("targets", "apply", "plan.json").out
    assert site.coachsync.json("targets", "apply", "plan.json")["rows"] == 0
    assert site.coachsync.json("batches", "list") == []


@pytest.mark.parametrize("option", ["--force", "--strict"])
def test_a_plan_is_not_forced(site: Site, option: str) -> None:
    targets_file(line(1, 42))
    site.plan("--refresh")
    assert f"error: {option}: a plan says" in site.coachsync("targets", "apply", "plan.json", option, code=2).err


def test_the_guard_stands_before_a_plan_too(program: Program, site: Site, store: Database) -> None:
    targets_file(*(line(number, 42) for number in range(40)))
    site.plan("--refresh")
    dry = program("targets", "apply", "plan.json", "--dry-run")
    assert (dry.code, site.coachsync.json("approvals", "list")) == (3, [])
    stopped = program("targets", "apply", "plan.json")
    assert stopped.code == 3
    assert "coachsync approvals approve 1" in stopped.err
    assert all_jobs(store) == {}
    assert program("targets", "apply", "plan.json", "--approve").code == 0
    assert len(all_jobs(store)) == 40
