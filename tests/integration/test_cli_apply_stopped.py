"""`coachsync targets apply`, stopped on the way: it says what was accepted, and its key goes on with the rest."""

import gzip
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from sqlalchemy import text

from schemas.ids import ROW_BITS
from schemas.jobs import JobKind
from schemas.lanes import Lane
from tests.integration.apply_rig import Pipe, Program, batches, many, program_like, rejected
from tests.integration.cli_rig import Command, Said
from tests.integration.guard_rig import know
from tests.integration.store_rig import all_jobs, applied, assert_adds_up, batch, open_jobs, take, write
from tests.services.stores import on_sqlite
from worker.cli.apply import Asked, apply_file
from worker.cli.output import Output
from worker.configuration.oversight import GuardOptions
from worker.configuration.settings import load_settings
from worker.intake.accept import PAGE
from worker.runtime import Runtime
from worker.store.batches import NewBatch
from worker.store.engine import Database

pytestmark = on_sqlite

TAKEN = PAGE + 900  # rows; who has taken them all off the pipe, but for what its buffer holds, has accepted a page
ACCEPTED = "were accepted as batch 1 and will be sent"
CUT = "the gzip data is cut off here; fetch or compress it again"


@pytest.fixture
def program(
    coachsync: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Program]:
    with program_like(coachsync, monkeypatch, capsys) as program:
        yield program


def stopped_by_ctrl_c(coachsync: Command, content: bytes, *arguments: str) -> Said:
    """A real process that reads a pipe which stays open; the signal comes once it has taken what fills no buffer."""
    command = [sys.executable, "-m", "worker.cli", "targets", "apply", "-", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=dict(coachsync.environ), stdin=pipe, stdout=pipe, stderr=pipe) as child:
        try:
            assert child.stdin
            assert child.stdout
            assert child.stderr
            child.stdin.write(content)
            child.stdin.flush()
            child.send_signal(signal.SIGINT)
            code = child.wait(30)
            return Said(code, child.stdout.read().decode(), child.stderr.read().decode())
        finally:
            child.kill()


def test_ctrl_c_says_how_many_rows_are_accepted_and_the_same_command_with_its_key_goes_on_with_the_rest(
    store: Database, coachsync: Command, program: Program
) -> None:
    lines = many(TAKEN + 300).splitlines(keepends=True)
    lines[7] = b"unreadable\n"

    said = stopped_by_ctrl_c(coachsync, b"".join(lines[: TAKEN + 1]), "--key", "nightly")

    told = f"error: interrupted; {PAGE - 1} rows {ACCEPTED}; the same command goes on with the rest\n"
    assert said == Said(130, "", told)
    assert len(open_jobs(store)) == PAGE - 1
    assert (batch(store, 1).sealed_at, batch(store, 1).completed_at) == (None, None)
    assert [one["line"] for one in rejected("stdin.rejected.csv")] == ["8"]
    write(store, *(applied(one) for one in take(store, *open_jobs(store)[:5])))

    rest = program("targets", "apply", "-", "--key", "nightly", "--json", stdin=b"".join(lines))

    receipt = json.loads(rest.out)
    assert (rest.code, receipt["batch"], receipt["replayed"]) == (1, 1, False)
    assert (receipt["rows"], receipt["accepted"], receipt["rejected"]) == (TAKEN + 300, TAKEN + 299, 1)
    assert (batches(store), len(open_jobs(store))) == ([1], TAKEN + 299 - 5)
    assert_adds_up(store)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (PAGE - 1, "nothing was accepted"),
        (PAGE + 1, f"{PAGE:,} rows {ACCEPTED}; with --key the same command could go on"),
    ],
    ids=["before the first page", "behind it"],
)
def test_ctrl_c_without_a_key_says_what_was_accepted_and_what_a_key_is_for(
    store: Database, program: Program, rows: int, told: str
) -> None:
    said = program("targets", "apply", "-", stdin=many(rows), then=KeyboardInterrupt())
    assert (said.code, said.out, said.err) == (130, "", f"error: interrupted; {told}\n")
    assert len(open_jobs(store)) == rows // PAGE * PAGE
    assert batches(store) == [1] * (rows // PAGE)


@pytest.mark.parametrize("option", ["--strict", "--dry-run"])
def test_ctrl_c_while_the_whole_file_is_looked_through_says_so(store: Database, program: Program, option: str) -> None:
    know(store, GuardOptions().floor + 1)
    said = program("targets", "apply", "-", option, stdin=many(3), then=KeyboardInterrupt())
    assert (said.code, said.out, said.err) == (130, "", "error: interrupted\n")
    assert open_jobs(store) == []


@contextmanager
def full_behind_a_page(store: Database) -> Iterator[None]:
    behind = f"(NEW.id & {(1 << ROW_BITS) - 1}) > {PAGE}"
    full = "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    with store.write() as session:
        session.execute(text(f"CREATE TRIGGER is_full BEFORE INSERT ON jobs WHEN {behind} {full}"))
    try:
        yield
    finally:
        with store.write() as session:
            session.execute(text("DROP TRIGGER is_full"))


def test_a_database_that_is_full_on_the_way_says_what_was_accepted_before(store: Database, program: Program) -> None:
    with full_behind_a_page(store):
        said = program("targets", "apply", "-", stdin=many(PAGE + 1))
    why = "the database refused: database or disk is full"
    told = f"error: {why}; {PAGE:,} rows {ACCEPTED}; with --key the same command could go on\n"
    assert (said.code, said.out, said.err) == (1, "", told)
    assert len(open_jobs(store)) == PAGE


def test_where_the_work_ends_with_the_command_that_is_said_instead(
    store: Database, coachsync: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe(many(PAGE + 1), KeyboardInterrupt())))
    asked = Asked("-", JobKind.TARGET_UPDATE, NewBatch("test", Lane.BULK), afterwards="all stops here")
    with closing(Runtime(load_settings(coachsync.environ, cwd=Path.cwd()))) as runtime, pytest.raises(typer.Exit):
        apply_file(asked, runtime, Output())
    told = f"error: interrupted; {PAGE:,} rows were accepted as batch 1; all stops here\n"
    assert capsys.readouterr().err == told
    assert len(open_jobs(store)) == PAGE


def test_a_file_that_breaks_on_the_way_says_where_and_what_was_accepted_before(
    store: Database, program: Program
) -> None:
    Path("targets.csv.gz").write_bytes(gzip.compress(many(3 * PAGE - 100), 0)[:-100])
    said = program("targets", "apply", "targets.csv.gz")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: targets.csv.gz, line ")
    assert said.err.endswith(f"{CUT}; {2 * PAGE:,} rows {ACCEPTED}; with --key the same command could go on\n")
    assert len(open_jobs(store)) == 2 * PAGE
    assert batch(store, 1).sealed_at is None
    assert_adds_up(store)


@pytest.mark.parametrize(
    ("option", "code", "told"),
    [
        ("--strict", 2, CUT),
        ("--dry-run", 1, f"{CUT}; {PAGE:,} rows before that would be accepted; nothing was written"),
    ],
)
def test_a_file_that_breaks_on_the_way_leaves_nothing_where_it_is_read_before_accepting(
    store: Database, program: Program, option: str, code: int, told: str
) -> None:
    Path("targets.csv.gz").write_bytes(gzip.compress(many(PAGE + 500), 0)[:-100])
    said = program("targets", "apply", "targets.csv.gz", option)
    assert (said.code, said.out) == (code, "")
    assert said.err.endswith(f"{told}\n")
    assert (batches(store), all_jobs(store)) == ([], {})


def test_a_broken_file_is_fetched_again_and_the_same_command_with_its_key_completes_it(
    store: Database, program: Program
) -> None:
    whole = gzip.compress(many(PAGE + 500), 0)
    apply = ("targets", "apply", "targets.csv.gz", "--key", "nightly", "--json")
    Path("targets.csv.gz").write_bytes(whole[:-100])
    broken = program(*apply)
    assert broken.code == 1
    assert broken.err.endswith(f"{PAGE:,} rows {ACCEPTED}; the same command goes on with the rest\n")

    Path("targets.csv.gz").write_bytes(whole)
    again = program(*apply)

    receipt: dict[str, object] = json.loads(again.out)
    assert (again.code, receipt["accepted"], receipt["replayed"]) == (0, PAGE + 500, False)
    assert len(open_jobs(store)) == PAGE + 500
    assert_adds_up(store)
