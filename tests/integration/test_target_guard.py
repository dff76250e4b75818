"""The guard on targets: what changes too many of those that are known is not begun, by a file or from Python."""

import gzip
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.integration.apply_rig import Program, program_like
from tests.integration.cli_rig import Command
from tests.integration.guard_rig import NOON, asked, csv_of, know, wishes_of, written
from tests.integration.store_rig import all_jobs
from tests.services.stores import on_both, on_sqlite
from worker.configuration.settings import load_settings
from worker.core.guard import GuardTripped
from worker.producer import enqueue_target_updates
from worker.runtime import Runtime
from worker.store.engine import Database
from worker.store.tables import approvals

pytestmark = on_sqlite

APPLY = ("targets", "apply", "targets.csv")
MOST = dict.fromkeys(range(20), 60.0)  # of a hundred, a fifth
MORE = dict.fromkeys(range(21), 60.0)


@pytest.fixture
def program(
    coachsync: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Program]:
    with program_like(coachsync, monkeypatch, capsys) as program:
        yield program


@pytest.fixture
def runtime(coachsync: Command, tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime(load_settings(coachsync.environ, cwd=tmp_path))
    yield runtime
    runtime.close()


def offer(values: dict[int, float], path: str = "targets.csv") -> None:
    Path(path).write_text(csv_of(values))


# Files


@on_both
def test_a_file_that_changes_too_many_is_not_begun_and_asks_in_one_line(store: Database, program: Program) -> None:
    know(store, 100)
    offer(MORE)
    said = program(*APPLY)
    assert (said.code, said.out) == (3, "")
    assert said.err == (
        "error: customers/acme/profiles/main: at least 21 of 100 known targets would change, more than 20% of them and"
        " more than 10; nothing was written; if that is right: `coachsync approvals approve 1`, then the same command"
        " again, or --approve\n"
    )
    assert written(store) == 0
    (one,) = asked(store)
    assert (one.door, one.subject, one.state) == ("targets", "the file targets.csv", "waiting")
    assert one.expires_at - one.asked_at == timedelta(hours=24)


@on_both
def test_up_to_the_share_nobody_is_asked(store: Database, program: Program) -> None:
    know(store, 100)
    offer(MOST | dict.fromkeys(range(20, 100), 50.0))
    assert program(*APPLY).code == 0
    assert (len(all_jobs(store)), asked(store)) == (100, [])


@on_both
def test_once_a_person_has_said_yes_the_same_file_goes_through_and_no_other(
    store: Database, program: Program, tmp_path: Path
) -> None:
    know(store, 100)
    offer(MORE)
    assert program(*APPLY).code == 3
    assert program(*APPLY).code == 3
    assert len(asked(store)) == 1, "asked again it is the same question"
    said = program("approvals", "approve", 1)
    assert said.out.startswith("Approved until ")

    offer(dict.fromkeys(range(21), 70.0))
    assert program(*APPLY).code == 3
    assert written(store) == 0
    (tmp_path / "targets.csv.gz").write_bytes(gzip.compress(csv_of(MORE).encode()))
    assert program("targets", "apply", "targets.csv.gz").code == 0
    assert len(all_jobs(store)) == 21


@on_both
def test_once_a_person_has_said_no_it_is_asked_anew_and_not_let_through(store: Database, program: Program) -> None:
    know(store, 100)
    offer(MORE)
    assert program(*APPLY).code == 3
    assert program("approvals", "reject", 1).out == "Rejected.\n"
    assert program(*APPLY).code == 3
    assert [one.state for one in asked(store)] == ["rejected", "waiting"]


def test_a_yes_lasts_no_longer_than_it_is_said_to(store: Database, program: Program) -> None:
    know(store, 100)
    offer(MORE)
    assert program(*APPLY).code == 3
    assert program("approvals", "approve", 1).code == 0
    with store.write() as session:
        session.execute(update(approvals).values(expires_at=NOON))
    assert program(*APPLY).code == 3
    assert written(store) == 0


@pytest.mark.parametrize("options", [("--approve",), ("--approve", "--strict")])
def test_who_knows_says_so_and_nobody_is_asked(store: Database, program: Program, options: tuple[str, ...]) -> None:
    know(store, 100)
    offer(MORE)
    assert program(*APPLY, *options).code == 0
    assert (len(all_jobs(store)), asked(store)) == (21, [])
    assert re.search(r"approve-beforehand +the file \S+ +done +batch 1", program("audit", "list").out)


@pytest.mark.parametrize("options", [(), ("--strict",), ("--force",)])
def test_the_standard_input_is_guarded_too(store: Database, program: Program, options: tuple[str, ...]) -> None:
    know(store, 100)
    content = csv_of(MORE).encode()
    assert program("targets", "apply", "-", *options, stdin=content).code == 3
    assert written(store) == 0
    assert program("approvals", "approve", 1).code == 0
    assert program("targets", "apply", "-", *options, stdin=content).code == 0
    assert len(all_jobs(store)) == 21


def test_only_what_is_known_and_told_otherwise_counts(store: Database, program: Program) -> None:
    know(store, 100)
    new = dict.fromkeys(range(1000, 1500), 60.0)
    wrong = dict.fromkeys(range(40), 600.0)
    offer(new | wrong | dict.fromkeys(range(50, 70), 60.0))
    assert program(*APPLY).code == 1
    assert asked(store) == []


def test_a_target_that_is_uncertain_and_was_last_seen_so_does_not_count(store: Database, program: Program) -> None:
    know(store, 100, 60, uncertain=True)
    offer(dict.fromkeys(range(100), 60.0))
    assert program(*APPLY).code == 0


def test_a_target_that_is_named_twice_counts_once(store: Database, program: Program) -> None:
    know(store, 100)
    others = csv_of(dict.fromkeys(range(100, 700), 50.0)).partition("\n")[2]
    again = csv_of(dict.fromkeys(range(20), 70.0)).partition("\n")[2]
    Path("targets.csv").write_text(csv_of(MOST) + others + again)
    assert program(*APPLY).code == 0


def test_of_several_rows_for_a_target_the_one_that_stands_counts(store: Database, program: Program) -> None:
    know(store, 100)
    others = csv_of(dict.fromkeys(range(100, 700), 50.0)).partition("\n")[2]
    same = csv_of(dict.fromkeys(range(21), 50.0)).partition("\n")[2]
    Path("targets.csv").write_text(csv_of(MORE) + others + same)
    assert program(*APPLY).code == 0
    Path("targets.csv").write_text(csv_of(dict.fromkeys(range(21), 50.0)) + others + csv_of(MORE).partition("\n")[2])
    assert program(*APPLY).code == 3


def test_what_is_older_than_what_was_wished_since_changes_nothing_and_does_not_count(
    store: Database, program: Program
) -> None:
    def dated(values: dict[int, float], time: str) -> str:
        header, _, rows = csv_of(values).partition("\n")
        return "".join([f"{header},asOf\n", *(f"{row},{time}\n" for row in rows.splitlines())])

    Path("targets.csv").write_text(dated(dict.fromkeys(range(100), 50.0), "2026-01-02T00:00:00Z"))
    assert program(*APPLY).code == 0
    know(store, 100)
    Path("targets.csv").write_text(dated(dict.fromkeys(range(100), 60.0), "2026-01-01T00:00:00Z"))
    assert program(*APPLY).code == 0
    newer = dated(dict.fromkeys(range(100), 50.0), "2026-01-04T00:00:00Z")
    older = dated(dict.fromkeys(range(100), 60.0), "2026-01-03T00:00:00Z").partition("\n")[2]
    Path("targets.csv").write_text(newer + older)
    assert program(*APPLY).code == 0
    Path("targets.csv").write_text(dated(dict.fromkeys(range(100), 60.0), "2026-01-05T00:00:00Z"))
    assert program(*APPLY).code == 3


def test_a_few_that_are_known_may_all_change(store: Database, program: Program) -> None:
    know(store, 10)
    offer(dict.fromkeys(range(10), 60.0))
    assert program(*APPLY).code == 0


def test_each_profile_is_weighed_for_itself(store: Database, program: Program) -> None:
    know(store, 100)
    know(store, 1_000, home="customers/acme/profiles/other")
    offer(MORE)
    assert program(*APPLY).code == 3


def test_a_batch_that_was_let_in_by_its_key_is_replayed_whatever_has_changed_since(
    store: Database, program: Program
) -> None:
    offer(MORE)
    keyed = (*APPLY, "--key", "monday")
    assert program(*keyed).code == 0
    know(store, 100)
    assert "was accepted before with this key" in program(*keyed).out
    assert program(*APPLY).code == 3


def test_the_guards_limits_are_those_of_the_settings(store: Database, program: Program, tmp_path: Path) -> None:
    know(store, 100)
    (tmp_path / "coachsync.toml").write_text('[guard]\nshare = 0.5\nfloor = 0\napproval_lasts = "2h"\n')
    offer(dict.fromkeys(range(50), 60.0))
    assert program(*APPLY).code == 0
    offer(dict.fromkeys(range(51), 70.0))
    assert program(*APPLY).code == 3
    (one,) = asked(store)
    assert one.expires_at - one.asked_at == timedelta(hours=2)


# Python


@on_both
def test_python_is_stopped_with_the_number_to_approve_and_nothing_is_written(store: Database, runtime: Runtime) -> None:
    know(store, 100)
    with pytest.raises(GuardTripped) as tripped:
        enqueue_target_updates(wishes_of(MORE), runtime=runtime)
    assert tripped.value.approval_id == 1
    assert "at least 21 of 100 known targets would change" in tripped.value.reason
    assert written(store) == 0
    assert asked(store)[0].subject == "21 updates from Python"


@on_both
def test_python_goes_through_once_a_person_has_said_yes_or_says_so_itself(
    store: Database, runtime: Runtime, program: Program
) -> None:
    know(store, 100)
    with pytest.raises(GuardTripped):
        enqueue_target_updates(iter(wishes_of(MORE)), runtime=runtime)
    assert program("approvals", "approve", 1).code == 0
    assert enqueue_target_updates(iter(wishes_of(MORE)), runtime=runtime).accepted == 21
    other = (one.model_dump() | {"target": 70} for one in wishes_of(MORE))
    assert enqueue_target_updates(other, approve=True, runtime=runtime).accepted == 21
    assert len(asked(store)) == 1


def test_python_streams_what_need_not_be_weighed(store: Database, runtime: Runtime) -> None:
    """A producer that ends in the middle shows what was accepted before."""
    know(store, 5)

    def broken() -> Iterator[object]:
        yield from wishes_of(dict.fromkeys(range(1_500), 60.0))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        enqueue_target_updates(broken(), runtime=runtime)  # type: ignore[arg-type]
    assert len(all_jobs(store)) == 1_000
