"""`coachsync targets apply`: the rows of a file become jobs, wrong ones are set aside, and a key is accepted once."""

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.ids import job_id
from schemas.jobs import JobState
from tests.integration.apply_rig import COLUMNS, LONG, Program, batches, file, many, program_like, rejected, row, text
from tests.integration.cli_rig import Command
from tests.integration.store_rig import (
    PLAN,
    TEMPLATE,
    USECASE,
    all_jobs,
    assert_adds_up,
    batch,
    job,
    open_jobs,
    settle,
    states,
    wish,
)
from tests.services.stores import on_both, on_sqlite
from worker.intake.accept import PAGE
from worker.store.engine import Database

pytestmark = on_sqlite

DATA = Path(__file__).parents[1] / "data"
SAMPLE = "customers/acme/profiles/eu"
SAMPLES = [
    {
        "name": f"{SAMPLE}/targets/t1",
        "target": 82.5,
        "criterionOrChapterId": "empathy",
        "coachingPlanName": f"{SAMPLE}/coachingPlans/ana",
        "asOf": "2026-01-31T08:00:00Z",
        "priority": "interactive",
    },
    {"name": f"{SAMPLE}/targets/t2", "target": 90.0, "criterionOrChapterId": "", "coachingPlanName": ""},
    {
        "name": f"{SAMPLE}/targets/t3",
        "target": 0.0,
        "criterionOrChapterId": "greeting",
        "coachingPlanName": "",
        "asOf": "2026-01-31T08:00:00Z",
        "priority": "bulk",
    },
]


@pytest.fixture
def program(
    coachsync: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Program]:
    with program_like(coachsync, monkeypatch, capsys) as program:
        yield program


# Files and the receipt


@on_both
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "csv.gz"])
def test_the_same_wishes_come_of_every_format(store: Database, coachsync: Command, suffix: str, tmp_path: Path) -> None:
    sample = tmp_path / f"targets.{suffix}"
    if suffix.endswith(".gz"):
        sample.write_bytes(gzip.compress((DATA / "targets.csv").read_bytes()))
    else:
        shutil.copy(DATA / sample.name, sample)

    assert coachsync.json("targets", "apply", sample)["accepted"] == 3

    kept = all_jobs(store).values()
    shared = {"scorecardTemplateName": f"{SAMPLE}/scorecardTemplates/voice", "usecaseName": f"{SAMPLE}/usecases/sales"}
    assert [json.loads(one.wish) for one in kept] == [shared | one for one in SAMPLES]
    assert [one.request_key for one in kept] == ["hr-1", None, "hr-3"]
    assert [one.lane for one in kept] == ["interactive", "bulk", "bulk"]
    assert not list(tmp_path.glob("*rejected*"))
    assert_adds_up(store)


@on_both
def test_the_receipt_says_what_became_of_the_rows(store: Database, coachsync: Command) -> None:
    settle(store, wish(1, 10))
    same = wish(1, 10)
    known = [same.name, TEMPLATE, USECASE, "10", same.criterion_or_chapter_id or "", PLAN]
    file("targets.csv", known, row(2, 1), row(2, 2), row(3, 101))

    receipt = coachsync.json("targets", "apply", "targets.csv", code=1)

    assert receipt == {
        "batch": 2,
        "rows": 4,
        "accepted": 3,
        "rejected": 1,
        "fates": {"queued": 1, "superseded": 1, "unchanged": 1, "repeated": 0, "refused": 1, "stale": 0},
        "replayed": False,
        "rejectedFile": "targets.csv.rejected.csv",
    }
    assert open_jobs(store) == [job_id(2, 3)]
    assert_adds_up(store)


def test_people_are_told_in_sentences_and_how_to_watch_it(coachsync: Command) -> None:
    file("targets.csv", row(1), row(2, "many"))
    assert coachsync("targets", "apply", "targets.csv", code=1).out.splitlines() == [
        "Batch 1: 2 rows, 1 accepted, 1 rejected.",
        "  1 queued · 0 superseded by a newer wish · 0 unchanged · 0 repeated",
        "  The rejected rows and their reasons: targets.csv.rejected.csv",
        "Watch it: coachsync batches wait 1",
    ]


def test_where_all_rows_were_rejected_there_is_nothing_to_watch(coachsync: Command) -> None:
    file("targets.csv", row(1, "many"))
    assert "Watch it" not in coachsync("targets", "apply", "targets.csv", code=1).out


def test_label_lane_and_source_are_the_batchs_and_force_sends_what_the_remote_has(
    store: Database, coachsync: Command
) -> None:
    settle(store, wish(1, 50, criterion_or_chapter_id=LONG))
    file("targets.csv", row(1))
    apply = ("targets", "apply", "targets.csv")
    assert coachsync.json(*apply)["fates"]["unchanged"] == 1

    forced = coachsync.json(*apply, "--force", "--label", "from HR", "--lane", "interactive")

    assert forced["fates"]["queued"] == 1
    kept, one = batch(store, forced["batch"]), job(store, *open_jobs(store))
    assert (kept.source, kept.label, kept.lane) == ("file:targets.csv", "from HR", "interactive")
    assert (one.lane, one.forced) == ("interactive", True)


def test_the_standard_input_is_a_file_too(store: Database, program: Program) -> None:
    said = program("targets", "apply", "-", stdin=text(row(1), row(2, "many")).encode())
    assert said.code == 1
    assert "stdin.rejected.csv" in said.out
    assert [one["line"] for one in rejected("stdin.rejected.csv")] == ["3"]
    assert batch(store, 1).source == "file:-"
    assert len(open_jobs(store)) == 1


# Wrong rows


def test_a_rejected_row_is_told_with_line_field_reason_value_and_the_row_itself(
    store: Database, coachsync: Command, tmp_path: Path
) -> None:
    (tmp_path / "coachsync.toml").write_text("[remotes.one]\napi_url = 'http://127.0.0.1:1'\ncustomers = ['acme']\n")
    only_acme = Command({name: value for name, value in coachsync.environ.items() if name != "COACHSYNC_API_URL"})
    stranger = [cell.replace("acme", "nobody") for cell in row(4)]
    wrong = row(2, 101, template="x")
    late = [*row(6), "2999-01-01T00:00:00Z"]
    rows = [[*row(1), ""], [*wrong, ""], [*stranger, ""], row(5), late]
    file("targets.csv", *rows, columns=[*COLUMNS, "asOf"])

    said = only_acme("targets", "apply", "targets.csv", code=1)

    assert "Batch 1: 5 rows, 1 accepted, 4 rejected." in said.out
    told = rejected("targets.csv.rejected.csv")
    assert list(told[0]) == ["line", "row", "field", "reason", "value", "raw"]
    assert [(one["line"], one["row"], one["field"], one["value"]) for one in told] == [
        ("3", "2", "scorecardTemplateName", "x"),
        ("3", "2", "target", "101"),
        ("5", "4", "", ""),
        ("4", "3", "name", stranger[0]),
        ("6", "5", "asOf", "2999-01-01 00:00:00+00:00"),
    ]
    assert told[1]["reason"] == "101 is outside 0 to 100 (percent)"
    assert told[1]["raw"] == ",".join([*wrong, ""])
    assert told[3]["reason"].startswith("no remote serves the customer 'nobody'")
    assert [one["raw"] for one in told[2:]] == [",".join(row(5)), ",".join([*stranger, ""]), ",".join(late)]
    assert not list(tmp_path.glob("*.partial"))
    assert_adds_up(store)


def test_a_row_that_would_widen_its_target_is_told_like_any_other(store: Database, coachsync: Command) -> None:
    settle(store, wish(1, criterion_or_chapter_id=LONG))
    wider = [*row(1)[:5], ""]
    file("targets.csv", row(2, "many"), wider)
    coachsync("targets", "apply", "targets.csv", code=1)
    _, told = rejected("targets.csv.rejected.csv")
    assert (told["line"], told["row"], told["field"], told["raw"]) == ("3", "2", "coachingPlanName", ",".join(wider))
    assert told["reason"].endswith(f"belongs to {PLAN}; leave it out, or state the same")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"x" * 10_000_000, "the line is longer than 1048576 bytes"),
        (",".join(row("café")).encode("latin-1"), "byte 0xe9 at offset"),
    ],
    ids=["ten megabytes", "not UTF-8"],
)
def test_a_line_that_is_no_row_costs_itself_only_also_behind_an_accepted_page(
    store: Database, program: Program, line: bytes, reason: str
) -> None:
    Path("targets.csv").write_bytes(many(PAGE) + line + b"\n" + ",".join(row("last")).encode() + b"\n")
    said = program("targets", "apply", "targets.csv")
    assert said.code == 1
    assert f"{PAGE + 2:,} rows, {PAGE + 1:,} accepted, 1 rejected." in said.out
    (told,) = rejected("targets.csv.rejected.csv")
    assert (told["line"], told["row"]) == (str(PAGE + 2), str(PAGE + 1))
    assert told["reason"].startswith(reason)
    assert_adds_up(store)


@pytest.mark.parametrize("as_file", [True, False], ids=["file", "standard input"])
def test_with_strict_one_wrong_row_refuses_all_and_each_is_told(
    store: Database, program: Program, tmp_path: Path, *, as_file: bool
) -> None:
    there = file("targets.csv", row(1), row(2, "many"), row(3, 101), row(4))
    name = "targets.csv" if as_file else "-"
    said = program("targets", "apply", name, "--strict", stdin=there.read_bytes())
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines() == [
        "line 3: target: 'many' is no number; write it like 82.5",
        "line 4: target: 101 is outside 0 to 100 (percent)",
        f"error: {name}: 2 of 4 rows are wrong; nothing was written (--strict)",
    ]
    assert (batches(store), all_jobs(store)) == ([], {})
    assert not list(tmp_path.glob("*rejected*"))


@pytest.mark.parametrize("name", ["targets.csv", "-"])
def test_with_strict_a_file_without_a_wrong_row_is_accepted(store: Database, program: Program, name: str) -> None:
    there = file("targets.csv", row(1), row(2))
    assert program("targets", "apply", name, "--strict", stdin=there.read_bytes()).code == 0
    assert len(open_jobs(store)) == 2


def test_of_many_wrong_rows_the_first_ten_are_shown(program: Program) -> None:
    file("targets.csv", *(row(number, "many") for number in range(15)))
    told = program("targets", "apply", "targets.csv", "--strict").err.splitlines()
    assert (len(told), told[10]) == (12, "and 5 more rows")


# Keys


@on_both
def test_the_same_key_again_returns_the_first_receipt_and_writes_nothing(store: Database, coachsync: Command) -> None:
    file("targets.csv", row(1), row(2, "many"), row(1, 60))
    apply = ("targets", "apply", "targets.csv", "--key", "nightly")
    first = coachsync.json(*apply, code=1)
    before = all_jobs(store)
    Path("targets.csv.rejected.csv").unlink()

    assert coachsync.json(*apply, code=1) == first | {"replayed": True}
    assert coachsync(*apply, code=1).out.startswith(
        "Batch 1 was accepted before with this key: nothing new was written.\n"
    )

    assert (batches(store), all_jobs(store)) == ([1], before)
    assert [one["row"] for one in rejected("targets.csv.rejected.csv")] == ["2"]
    assert_adds_up(store)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([row(1), row(2, 60)], "row 2: target was 50.0, now 60.0"),
        ([row(1), row(2, "many")], "row 2: was a wish then, cannot be read now"),
        ([row(1)], "batch 1, which has 2 rows; this has 1"),
        ([row(1), row(2), row(3)], "batch 1, which has 2 rows; this has at least 3"),
    ],
    ids=["another value", "unreadable now", "shorter", "longer"],
)
def test_the_same_key_with_another_file_is_refused_in_one_line_that_names_the_difference(
    store: Database, program: Program, rows: list[list[str]], told: str
) -> None:
    apply = ("targets", "apply", "targets.csv", "--key", "nightly")
    file("targets.csv", row(1), row(2))
    assert program(*apply).code == 0
    before = all_jobs(store)

    file("targets.csv", *rows)
    said = program(*apply)

    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("error: the key 'nightly' was used for batch 1")
    assert told in said.err
    assert (batches(store), all_jobs(store)) == ([1], before)


# Waiting


def test_with_nobody_at_work_waiting_ends_with_4_and_tells_receipt_and_batch_in_one_object(
    store: Database, coachsync: Command
) -> None:
    file("targets.csv", row(1), row(2, "many"))
    said = coachsync("targets", "apply", "targets.csv", "--wait", "--timeout", 0.2, "--json", code=4)
    assert (said.json["batch"], said.json["open"], said.json["completedAt"]) == (1, 1, None)
    assert (said.json["receipt"]["accepted"], said.json["receipt"]["rejected"]) == (1, 1)
    assert "the work goes on. To watch again: coachsync batches wait 1" in said.err
    assert states(store, open_jobs(store)) == [JobState.PENDING]


@pytest.mark.parametrize(("rows", "code"), [([row(1)], 0), ([row(1), row(2, "many")], 1)], ids=["all", "rejections"])
def test_waiting_until_all_has_succeeded_ends_with_0_unless_rows_were_rejected(
    store: Database, coachsync: Command, rows: list[list[str]], code: int
) -> None:
    settle(store, wish(1, criterion_or_chapter_id=LONG))  # what the remote has already is done at once
    file("targets.csv", *rows)
    ended = coachsync.json("targets", "apply", "targets.csv", "--wait", "--timeout", 10, code=code)
    assert (ended["succeeded"], ended["receipt"]["rejected"]) == (1, code)
