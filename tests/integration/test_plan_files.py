"""A plan that is cut, edited or of another kind is refused in one line that says where; nothing is written."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.plans import Plan
from tests.integration.apply_rig import Program, program_like, row, text
from tests.integration.cli_rig import command_on
from tests.integration.store_rig import all_jobs, settle, wish
from tests.services.stores import on_sqlite
from worker.intake.plan_files import plan_text, read_plan
from worker.intake.source import FileSource
from worker.store.engine import Database

pytestmark = on_sqlite

PLAN = Path("plan.json")


@pytest.fixture
def program(
    store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Program]:
    """Before a plan of one change, one creation and one refused row."""
    monkeypatch.chdir(tmp_path)
    settle(store, wish(1, 10, criterion_or_chapter_id=""))
    rows = [row(1, 20), row(2, 20), row(3, 101)]
    rows[0][4] = ""
    Path("targets.csv").write_text(text(*rows), encoding="utf-8")
    with program_like(command_on(store, tmp_path), monkeypatch, capsys) as program:
        assert program("targets", "plan", "targets.csv", "-o", PLAN).code == 2
        yield program


def changed(where: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """``where`` is dotted, with numbers for the rows; a value of ``...`` takes the member away."""

    def change(plan: dict[str, Any]) -> None:
        *path, last = [int(part) if part.isdigit() else part for part in where.split(".")]
        place: Any = plan
        for part in path:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return change


EDITED = {
    "another version": (changed("coachsyncPlan", 2), "coachsyncPlan: must be 1"),
    "no rows at all": (changed("rows", ...), "rows: required, but nothing is given"),
    "rows that are no list": (changed("rows", {}), "rows: must be a JSON array"),
    "a row that is no object": (changed("rows.0", 7), "rows[0]: must be a JSON object"),
    "a row less than is counted": (changed("rows.2", ...), "counts say 1 to refused, and the rows hold 0"),
    "a count that was edited": (changed("counts.change", 5), "counts say 5 to change, and the rows hold 1"),
    "a count below nothing": (changed("counts.change", -1), "counts.change: must be greater than or equal to 0"),
    "an unknown action": (changed("rows.0.action", "delete"), "rows[0].action: must be"),
    "a refused row made a change": (
        changed("rows.2.action", "change"),
        "rows[2]: a row to change has to hold its wish",
    ),
    "a creation made a change": (
        changed("rows.1.action", "change"),
        "rows[1]: a change has to hold the known target that it changes",
    ),
    "another value than the wish's": (changed("rows.0.to", 30), "rows[0]: name and to are not those of the wish"),
    "another name than the wish's": (changed("rows.0.name", "x"), "rows[0]: name and to are not those of the wish"),
    "a wish out of bounds": (changed("rows.0.wish.target", 101), "rows[0].wish.target: 101 is outside 0 to 100"),
    "a wish with a wrong name": (changed("rows.0.wish.name", "t-1"), "rows[0].wish.name: 't-1' is no target name"),
    "a wish with an unknown field": (changed("rows.0.wish.tarket", 1), "rows[0].wish.tarket: unknown field"),
    "a known target without its value": (changed("rows.0.known.target", ...), "rows[0].known.target: required"),
    "a known target that is text": (changed("rows.0.known", "all"), "rows[0].known: must be a JSON object"),
    "a line before the first": (changed("rows.0.line", 0), "rows[0].line: must be greater than 0"),
    "a time without an offset": (
        changed("madeAt", "2026-01-31T08:00:00"),
        "madeAt: '2026-01-31T08:00:00' is no RFC 3339",
    ),
    "an unknown member": (changed("force", "yes"), "force: unknown field"),
    "a forecast of the past": (changed("forecast.0.seconds", -3), "forecast[0].seconds: must be greater than"),
}


@pytest.mark.parametrize(("edit", "told"), EDITED.values(), ids=EDITED)
def test_an_edited_plan_is_refused_in_one_line(
    program: Program, store: Database, edit: Callable[[dict[str, Any]], None], told: str
) -> None:
    plan = json.loads(PLAN.read_text())
    edit(plan)
    PLAN.write_text(json.dumps(plan))
    assert_refused(program, store, told)


def test_two_rows_for_one_target_are_refused(program: Program, store: Database) -> None:
    plan = json.loads(PLAN.read_text())
    plan["rows"].append(plan["rows"][1] | {"row": 4})
    plan["counts"]["create"] += 1
    PLAN.write_text(json.dumps(plan))
    assert_refused(program, store, "two rows are for customers/acme/profiles/main/targets/t-2")


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut in the middle": (lambda data: data[: len(data) // 2], "not valid JSON at line"),
    "cut before its end": (lambda data: data.rstrip().removesuffix(b"}"), "not valid JSON at line"),
    "two plans in one": (lambda data: data + data, "extra data"),
    "a number without bounds": (
        lambda data: data.replace(b'"to": 20.0', b'"to": Infinity', 1),
        "rows[0].to: must be a",
    ),
    "a key twice": (
        lambda data: data.replace(b'"file"', b'"refreshed": true, "file"', 1),
        '"refreshed" is given twice',
    ),
    "bytes that are no text": (lambda data: data.replace(b"targets.csv", b"t\xe9", 1), "byte 0xe9 is not UTF-8"),
}


@pytest.mark.parametrize(("spoil", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plan_is_refused_in_one_line(
    program: Program, store: Database, spoil: Callable[[bytes], bytes], told: str
) -> None:
    PLAN.write_bytes(spoil(PLAN.read_bytes()))
    assert_refused(program, store, told)


def test_a_compressed_plan_that_is_cut_off_is_refused_in_one_line(program: Program, store: Database) -> None:
    whole = gzip.compress(PLAN.read_bytes() * 100)
    Path("plan.json.gz").write_bytes(whole[:-20])
    assert_refused(program, store, "plan.json.gz: ", "plan.json.gz")


def test_what_is_no_plan_is_read_as_a_file_of_wishes(program: Program, store: Database) -> None:
    PLAN.write_text('{"plan": 1,\n "rows": []}\n')
    said = program("targets", "apply", PLAN)
    assert (said.code, len(said.err.splitlines())) in [(1, 0), (2, 1)]
    assert not [job for job in all_jobs(store).values() if job.batch_id != 1]


@pytest.mark.parametrize("spaced", [False, True], ids=["in one line", "spread over many"])
def test_a_plan_may_be_laid_out_otherwise_and_compressed(program: Program, *, spaced: bool) -> None:
    plan = json.loads(PLAN.read_text())
    laid_out = json.dumps(plan, indent=4 if spaced else None)
    Path("plan.json.gz").write_bytes(gzip.compress(laid_out.encode("utf-8-sig")))
    assert "2 rows: 2 would be accepted, 0 rejected." in program("targets", "apply", "plan.json.gz", "--dry-run").out


def test_a_plan_is_the_same_after_it_was_written_and_read(program: Program) -> None:
    assert program("targets", "apply", PLAN, "--dry-run").code == 0
    plan = read_plan(FileSource(PLAN, "plan.json"))
    assert isinstance(plan, Plan)
    assert "".join(plan_text(plan)) == PLAN.read_text()
    assert len(PLAN.read_text().splitlines()) > len(plan.rows)


def assert_refused(program: Program, store: Database, told: str, path: str = "plan.json") -> None:
    said = program("targets", "apply", path)
    assert said.code == 2, said
    assert told in said.err
    assert said.err.startswith(f"error: {path}: ")
    assert "make it anew with `coachsync targets plan`" in said.err
    assert len(said.err.splitlines()) == 1
    assert len(all_jobs(store)) == 1, "the one that made a target known"
