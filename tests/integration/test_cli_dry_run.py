"""`coachsync targets apply --dry-run` foretells what apply does and writes nothing."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.integration.apply_rig import COLUMNS, LONG, Program, file, program_like, rejected, row
from tests.integration.cli_rig import Command, command_on
from tests.integration.guard_rig import asked, csv_of, know, written
from tests.integration.store_rig import all_jobs, job_ids, settle, wish
from tests.services.stores import on_both, on_sqlite
from worker.intake.accept import PAGE
from worker.store.engine import Database

pytestmark = on_sqlite

APPLY = ("targets", "apply", "targets.csv")
WIDER = {4: "", 5: ""}  # criterion and plan, left empty


@pytest.fixture
def program(
    coachsync: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Program]:
    with program_like(coachsync, monkeypatch, capsys) as program:
        yield program


def with_keys(*rows: tuple[list[str], str, str]) -> None:
    """Rows with their time and request key."""
    file("targets.csv", *([*one, at, key] for one, at, key in rows), columns=[*COLUMNS, "asOf", "requestKey"])


def wider(target: object) -> list[str]:
    return [WIDER.get(number, cell) for number, cell in enumerate(row(target))]


def foretold(coachsync: Command, *options: str, code: int) -> dict[str, object]:
    """What the dry run says, once apply has been seen to do the same."""
    dry: dict[str, object] = coachsync.json(*APPLY, *options, "--dry-run", code=code)
    done = coachsync.json(*APPLY, *options, code=code)
    same = ("rows", "accepted", "rejected", "fates", "replayed")
    assert {name: dry[name] for name in same} == {name: done[name] for name in same}
    reasons = rejected(done["rejectedFile"]) if done["rejectedFile"] else []
    assert dry["rejections"] == [_told(one) for one in reasons[:10]]
    return dry


def _told(one: dict[str, str]) -> dict[str, object]:
    numbers = {name: int(one[name]) for name in ("line", "row")}
    return numbers | {name: one[name] for name in ("field", "reason", "value")}


@on_both
def test_every_fate_is_foretold_also_where_a_page_meets_what_the_page_before_it_left(
    store: Database, coachsync: Command
) -> None:
    settle(store, wish(1, 50, criterion_or_chapter_id=LONG), wish(2, 50, criterion_or_chapter_id=LONG))
    job_ids(store, wish(3, 50, request_key="taken"))
    far, old, new = "2999-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    filler: Iterable[tuple[list[str], str, str]] = ((row(f"filler-{number}"), "", "") for number in range(PAGE))
    with_keys(
        (row(1), "", ""),
        (wider(2), "", ""),
        (row(4), far, ""),
        (row(5, "many"), "", ""),
        (row(6, 1), "", "twice"),
        (row(7, 1), new, ""),
        (row(8, 1), "", ""),
        (row(9, 1), "", "taken"),
        *filler,
        (row(6, 1), "", "twice"),
        (row(6, 2), "", "twice"),
        (row(7, 2), old, ""),
        (row(8, 2), "", ""),
    )

    dry = foretold(coachsync, code=1)

    assert dry["fates"] == {
        "queued": PAGE + 4,
        "superseded": 1,
        "unchanged": 1,
        "repeated": 1,
        "refused": 5,
        "stale": 0,
    }


@on_both
def test_a_dry_run_writes_nothing(store: Database, coachsync: Command, tmp_path: Path) -> None:
    file("targets.csv", row(1), row(2, "many"))
    assert coachsync.json(*APPLY, "--dry-run", code=1)["batch"] is None
    assert written(store) == 0
    assert not list(tmp_path.glob("*rejected*"))


def test_people_see_the_counts_and_the_rejected_rows(coachsync: Command) -> None:
    file("targets.csv", row(1), row(2), row(3, "many"))
    said = coachsync(*APPLY, "--dry-run", code=1)
    assert said.out.splitlines() == [
        "3 rows: 2 would be accepted, 1 rejected.",
        "  2 queued · 0 superseded by a newer wish · 0 unchanged · 0 repeated",
        "Nothing was written.",
    ]
    assert said.err == "line 4: target: 'many' is no number; write it like 82.5\n"


def test_of_many_rejected_rows_the_first_ten_are_shown(coachsync: Command) -> None:
    file("targets.csv", *(row(number, "many") for number in range(15)))
    told = coachsync(*APPLY, "--dry-run", code=1).err.splitlines()
    assert (len(told), told[10]) == (11, "and 5 more rows")


def test_force_and_strict_are_foretold(store: Database, coachsync: Command) -> None:
    settle(store, wish(1, 50, criterion_or_chapter_id=LONG))
    file("targets.csv", row(1))
    assert foretold(coachsync, "--force", code=0)["fates"] | {"queued": 1, "unchanged": 0} == {  # type: ignore[operator]
        "queued": 1, "superseded": 0, "unchanged": 0, "repeated": 0, "refused": 0, "stale": 0,
    }  # fmt: skip
    file("targets.csv", row(2), row(3, "many"))
    dry, done = coachsync(*APPLY, "--strict", "--dry-run", code=2), coachsync(*APPLY, "--strict", code=2)
    assert dry == done


@on_both
def test_a_key_that_was_used_is_foretold_replayed_or_in_conflict(
    store: Database, coachsync: Command, program: Program
) -> None:
    keyed = (*APPLY, "--key", "nightly")
    file("targets.csv", row(1), row(2, "many"))
    coachsync(*keyed, code=1)
    before = all_jobs(store)
    dry = foretold(coachsync, "--key", "nightly", code=1)
    assert (dry["batch"], dry["replayed"]) == (1, True)
    for rows in ([row(1, 60), row(2, "many")], [row(1)], [row(1), row(2, "many"), row(3)]):
        file("targets.csv", *rows)
        assert program(*keyed, "--dry-run") == program(*keyed)
    assert all_jobs(store) == before


@on_both
def test_the_guard_is_foretold_and_nobody_is_asked(store: Database, program: Program) -> None:
    know(store, 100)
    Path("targets.csv").write_text(csv_of(dict.fromkeys(range(21), 60.0)))
    dry = program(*APPLY, "--dry-run")
    assert (dry.code, dry.out) == (3, "")
    assert dry.err == (
        "error: the guard would stop it: customers/acme/profiles/main: at least 21 of 100 known targets would change,"
        " more than 20% of them and more than 10; nothing was written; without --dry-run a person is asked, with"
        " --approve nobody\n"
    )
    assert (written(store), asked(store)) == (0, [])
    assert program(*APPLY, "--dry-run", "--approve").code == 0

    assert program(*APPLY).code == 3
    assert program("approvals", "approve", 1).code == 0
    assert program(*APPLY, "--dry-run").code == 0
    assert written(store) == 0


def test_where_apply_cannot_begin_the_dry_run_cannot_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    coachsync = command_on(Database(f"sqlite:///{tmp_path}/home/coachsync.db"), tmp_path / "home")
    file("targets.csv", row(1))
    assert coachsync(*APPLY, "--dry-run", code=2) == coachsync(*APPLY, code=2)
