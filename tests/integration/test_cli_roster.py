"""`coachsync roster`: a nightly export or a file of events is taken whole or not at all, and the roster is shown."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.integration.apply_rig import Program, program_like, rejected
from tests.integration.cli_rig import Command
from tests.integration.roster_rig import PROFILE, agent, aside, projection, rows, there, told
from tests.services.stores import on_both, on_sqlite
from worker.configuration.oversight import GuardOptions
from worker.intake.roster_delivery import Door, Entry, deliver
from worker.store.engine import Database
from worker.store.oversight_models import Approval
from worker.store.roster_models import RosterEventRow, SetAside

pytestmark = on_sqlite

CENTRE = [f"a{number:03}" for number in range(100)]
HEADER = "Personnel no,Name,Team,usecases,coachingPlanName\n"
SETTINGS = f"""
[roster]
profile = "{PROFILE}"
source = "/hr"
[roster.columns]
agent = "Personnel no"
groups = "Team"
"""
IMPORT = ("roster", "import")


@pytest.fixture
def coachsync(coachsync: Command, tmp_path: Path) -> Command:
    (tmp_path / "coachsync.toml").write_text(SETTINGS)
    return coachsync


@pytest.fixture
def program(
    coachsync: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Program]:
    with program_like(coachsync, monkeypatch, capsys) as program:
        yield program


def text(agents: Iterable[str], team: str = "tier-1") -> str:
    return HEADER + "".join(f"{one},Ann {one},{team};{one[:2]},voice,plan-{one}\n" for one in agents)


def export(agents: Iterable[str], path: str = "roster.csv", **how: str) -> str:
    Path(path).write_text(text(agents, **how))
    return path


def whole(store: Database) -> tuple[Any, ...]:
    """All that an import may write."""
    with store.read() as session:
        counts = [
            session.execute(select(func.count()).select_from(one)).scalar_one() for one in (RosterEventRow, SetAside)
        ]
    return projection(store), *counts


def questions(store: Database) -> list[tuple[str, str]]:
    with store.read() as session:
        return [(one.subject, one.state) for one in session.execute(select(Approval).order_by(Approval.id)).scalars()]  # type: ignore[arg-type]


# A roster


@on_both
def test_an_export_is_compared_with_what_is_known_and_becomes_events(store: Database, coachsync: Command) -> None:
    assert coachsync(*IMPORT, export(CENTRE)).out.endswith(": 100 joined, 0 left, 0 moved, 0 changed.\n")
    later = text(["new", *CENTRE[2:]]).replace("a003,Ann a003,tier-1", "a003,Ann a003,tier-2")
    Path("roster.csv").write_text(later.replace("plan-a004", "plan-x"))

    assert coachsync.json(*IMPORT, "roster.csv") == {
        "accepted": 1, "duplicates": 0, "joined": 1, "left": 2, "moved": 1, "changed": 1, "outdated": 0,
    }  # fmt: skip

    assert there(store) == {"new", *CENTRE[2:]}
    kinds = [row.type.rpartition(".")[2] for row in rows(store)[101:]]
    assert sorted(kinds) == ["changed", "joined", "left", "left", "moved", "snapshot"]
    assert {(row.source, row.door) for row in rows(store)} == {("/hr", "import")}
    moved = agent(store, "a003")
    assert moved
    assert json.loads(moved.record)["groups"] == ["a0", "tier-2"]


@on_both
def test_a_dry_run_shows_who_joined_left_moved_and_changed_and_writes_nothing(
    store: Database, coachsync: Command
) -> None:
    coachsync(*IMPORT, export(CENTRE[:4]))
    before = whole(store)
    Path("roster.csv").write_text(
        text(["new", *CENTRE[1:4]]).replace("Ann a002,tier-1", "Ann a002,night").replace("plan-a003", "")
    )

    said = coachsync(*IMPORT, "roster.csv", "--dry-run")

    lines = said.out.splitlines()
    assert sorted(line.partition(":")[0] for line in lines[:4]) == [
        "changed a003",
        "joined new",
        "left a000",
        "moved a002",
    ]
    assert "moved a002: groups a0, tier-1; usecases voice; coaching plan plan-a002 → groups a0, night;" in said.out
    assert lines[-1].endswith(": 1 joined, 1 left, 1 moved, 1 changed. Nothing was written.")
    foreseen = coachsync.json(*IMPORT, "roster.csv", "--dry-run")
    assert [foreseen[verb] for verb in ("joined", "left", "moved", "changed")] == [1, 1, 1, 1]
    assert {(one["change"], one["agent"]) for one in foreseen["changes"]} >= {("joined", "new"), ("left", "a000")}
    assert whole(store) == before


@on_both
def test_the_same_export_of_the_same_time_is_taken_once(store: Database, coachsync: Command) -> None:
    same = (*IMPORT, export(CENTRE[:5]), "--as-of", "2026-01-31T02:00:00+01:00")
    coachsync(*same)
    before = whole(store)
    said = coachsync(*same)
    assert said.out.splitlines() == [
        "5 agents as of 2026-01-31 01:00:00: 0 joined, 0 left, 0 moved, 0 changed, 1 told before.",
        "It was all told before: nothing new was written.",
    ]
    assert whole(store) == before


def test_an_older_export_changes_nobody_of_whom_something_newer_is_known(store: Database, coachsync: Command) -> None:
    coachsync(*IMPORT, export(CENTRE[:5]), "--as-of", "2026-01-02T00:00:00Z")
    coachsync(*IMPORT, export(CENTRE[:3], team="night"), "--as-of", "2026-01-01T00:00:00Z")
    assert there(store) == set(CENTRE[:5])
    assert all("night" not in record for _, record in projection(store).values())


def test_the_standard_input_and_a_compressed_file_are_rosters_too(store: Database, program: Program) -> None:
    assert program(*IMPORT, "-", stdin=text(CENTRE).encode()).code == 0
    assert there(store) == set(CENTRE)


def test_more_joiners_never_matter(store: Database, coachsync: Command) -> None:
    coachsync(*IMPORT, export(CENTRE[:20]))
    coachsync(*IMPORT, export(CENTRE))
    assert there(store) == set(CENTRE)
    assert questions(store) == []


# Truncated, empty, wrong


@on_both
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "error: roster.csv: is empty\n"),
        ("\n", "error: roster.csv: is empty\n"),
        (HEADER, "error: roster.csv: holds no rows; a roster without anybody is not taken\n"),
        (HEADER[:-8], "roster.csv"),
    ],
    ids=["nothing", "a line end", "only a header", "half a header"],
)
def test_an_empty_export_writes_nothing_at_all(store: Database, program: Program, content: str, said: str) -> None:
    assert program(*IMPORT, export(CENTRE)).code == 0
    before = whole(store)
    Path("roster.csv").write_text(content)
    refused = program(*IMPORT, "roster.csv")
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert said in refused.err
    assert (whole(store), questions(store)) == (before, [])


@on_both
def test_an_export_that_was_cut_off_between_two_rows_writes_nothing_but_a_question(
    store: Database, program: Program
) -> None:
    assert program(*IMPORT, export(CENTRE)).code == 0
    before = whole(store)
    refused = program(*IMPORT, export(CENTRE[:79], "cut.csv"))
    assert (refused.code, refused.out) == (3, "")
    assert refused.err == (
        f"error: {PROFILE}: 21 of 100 agents would leave, more than 20% of them and more than 10, within 1 d 0 h;"
        " nothing was written; if that is right: `coachsync approvals approve 1`, then the same command again,"
        " or --approve\n"
    )
    assert (whole(store), questions(store)) == (before, [("the roster file cut.csv", "waiting")])


@on_both
@pytest.mark.parametrize("cut", [9, 17, 25, 29, 30, 36, 39])
def test_an_export_that_was_cut_off_within_a_row_writes_nothing(store: Database, program: Program, cut: int) -> None:
    """Ninety of a hundred rows are there: too few are missing for the share, and the last row may read like one."""
    assert program(*IMPORT, export(CENTRE)).code == 0
    before = whole(store)
    Path("roster.csv").write_text(text(CENTRE[:88]) + text(CENTRE[88:89]).removeprefix(HEADER)[:cut])
    refused = program(*IMPORT, "roster.csv")
    assert refused.code == (3 if cut >= 30 else 2)
    assert whole(store) == before


def test_of_an_export_without_a_last_line_end_a_few_may_leave_as_of_any(store: Database, program: Program) -> None:
    assert program(*IMPORT, export(CENTRE)).code == 0
    Path("roster.csv").write_text(text(CENTRE[:91])[:-1])
    assert program(*IMPORT, "roster.csv").code == 0
    Path("roster.csv").write_text(text(CENTRE[:89])[:-1])
    assert program(*IMPORT, "roster.csv").code == 3, "with the nine of before they are more than ten"
    assert questions(store)[0][0].endswith("roster.csv, whose last line has no line end, as if it were cut off")


def test_a_dry_run_says_that_the_guard_would_stop_it_and_asks_nobody(store: Database, program: Program) -> None:
    assert program(*IMPORT, export(CENTRE)).code == 0
    said = program(*IMPORT, export(CENTRE[:50]), "--dry-run")
    assert said.code == 3
    assert said.err.startswith("the guard would stop it: ")
    assert said.out.splitlines()[-1].endswith("50 left, 0 moved, 0 changed. Nothing was written.")
    assert (len(there(store)), questions(store)) == (100, [])


@on_both
def test_once_a_person_has_said_yes_the_same_export_goes_through_and_no_other(
    store: Database, program: Program
) -> None:
    assert program(*IMPORT, export(CENTRE)).code == 0
    half = (*IMPORT, export(CENTRE[:50], "half.csv"))
    assert program(*half).code == 3
    assert program("approvals", "approve", 1).code == 0
    assert program(*IMPORT, export(CENTRE[:49], "other.csv")).code == 3
    assert len(there(store)) == 100
    assert program(*half).code == 0
    assert there(store) == set(CENTRE[:50])


def test_who_knows_says_so(store: Database, coachsync: Command) -> None:
    coachsync(*IMPORT, export(CENTRE))
    coachsync(*IMPORT, export(CENTRE[:10]), "--approve")
    assert len(there(store)) == 10
    assert questions(store) == []
    assert [one["action"] for one in coachsync.json("audit", "list")] == ["approve-beforehand"]


def test_a_column_that_moves_everybody_is_stopped(program: Program) -> None:
    assert program(*IMPORT, export(CENTRE)).code == 0
    said = program(*IMPORT, export(CENTRE, team="night"))
    assert said.code == 3
    assert "100 of 100 agents would change" in said.err


def test_with_one_wrong_row_nothing_is_taken_and_each_reason_is_kept(store: Database, program: Program) -> None:
    Path("roster.csv").write_text(
        text(CENTRE).replace("a007,", "a 7,").replace("plan-a009", "my plan").replace("a011,Ann", "a010,Ann")
    )

    no_id = (
        "'my plan' is no id (letters, digits, . _ ~ -); expected"
        " customers/{customer}/profiles/{profile}/coachingPlans/{id}"
    )

    said = program(*IMPORT, "roster.csv")

    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines() == [
        'line 9: agent: must be 1 to 500 characters, without spaces (column "Personnel no")',
        f"line 11: coachingPlanName: '{PROFILE}/coachingPlans/my plan': {no_id}",
        "line 13: agent: stands in line 12 already",
        "error: roster.csv: 3 of 100 rows are wrong, so nothing was written; the reasons: roster.csv.rejected.csv",
    ]
    assert [(one["line"], one["row"], one["field"]) for one in rejected("roster.csv.rejected.csv")] == [
        ("9", "8", "agent"),
        ("11", "10", "coachingPlanName"),
        ("13", "12", "agent"),
    ]
    assert whole(store) == ({}, 0, 0)


def test_a_dry_run_keeps_no_file_of_reasons(program: Program, tmp_path: Path) -> None:
    Path("roster.csv").write_text(text(["a b"]))
    assert program(*IMPORT, "roster.csv", "--dry-run").code == 2
    assert not list(tmp_path.glob("*rejected*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.csv",), "error: none.csv: not found"),
        (("roster.csv", "--profile", "support"), "error: --profile: 'support' is no profile name; expected customers/"),
        (("roster.csv", "--as-of", "yesterday"), "error: --as-of: 'yesterday' is no RFC 3339 time with an offset"),
        (
            ("roster.csv", "--as-of", "2999-01-01T00:00:00Z"),
            "error: --as-of: 2999-01-01T00:00:00+00:00 lies in the future",
        ),
        (("roster.csv", "--source", "h r"), "error: --source: 'h r' must be 1 to 500 characters, without spaces"),
        (("roster.csv", "--source", ""), "error: --source: '' must be"),
        ((), "error: Missing argument 'FILE'"),
        (("other.csv",), 'error: other.csv, line 1: missing columns "Personnel no" (agent, as [roster.columns] says)'),
    ],
)
def test_what_is_said_wrong_is_refused_in_one_line(
    store: Database, program: Program, arguments: tuple[str, ...], said: str
) -> None:
    export(CENTRE[:3])
    Path("other.csv").write_text("Nr,Crew\n1,x\n")
    refused = program(*IMPORT, *arguments)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert refused.err.startswith(said)
    assert whole(store) == ({}, 0, 0)


# Events


@on_both
def test_a_file_of_events_is_taken_once(store: Database, coachsync: Command) -> None:
    Path("events.jsonl").write_text(
        "".join(json.dumps(one) + "\n" for one in (told("joined", "ann"), told("joined", "bob")))
    )
    assert coachsync("roster", "events", "events.jsonl", "--dry-run").out.endswith("Nothing was written.\n")
    assert rows(store) == []
    assert coachsync.json("roster", "events", "events.jsonl")["joined"] == 2
    again = coachsync("roster", "events", "events.jsonl").out
    assert "2 events: 0 joined, 0 left, 0 moved, 0 changed, 2 told before." in again
    assert there(store) == {"ann", "bob"}


@on_both
def test_with_one_wrong_event_nothing_is_taken(store: Database, program: Program) -> None:
    wrong = told("joined", "bob", usecases=["voice"])
    late = told("joined", "cid") | {"time": "2999-01-01T00:00:00Z"}
    Path("events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (told("joined", "ann"), wrong)))
    said = program("roster", "events", "events.jsonl")
    assert said.code == 2
    assert said.err.startswith("line 2: data.usecases[0]: 'voice' is no usecase name")

    Path("events.jsonl").write_text("\n" + "".join(json.dumps(one) + "\n" for one in (told("joined", "ann"), late)))
    said = program("roster", "events", "events.jsonl")
    assert said.code == 2
    assert said.err.splitlines() == [
        "line 3: time: 2999-01-01T00:00:00+00:00 lies in the future; give the time when it happened",
        "error: events.jsonl: 1 of 2 rows are wrong, so nothing was written; the reasons: events.jsonl.rejected.csv",
    ]
    assert [one["line"] for one in rejected("events.jsonl.rejected.csv")] == ["3"]
    assert whole(store) == ({}, 0, 0)


@on_both
def test_events_are_guarded_and_go_through_once_a_person_has_said_yes(store: Database, program: Program) -> None:
    assert program(*IMPORT, export(CENTRE), "--as-of", "2026-01-01T00:00:00Z").code == 0
    Path("events.jsonl").write_text("".join(json.dumps(told("left", one, 1)) + "\n" for one in CENTRE[:30]))
    events = ("roster", "events", "events.jsonl")
    assert program(*events).code == 3
    assert len(there(store)) == 100
    assert program("approvals", "approve", 1).code == 0
    assert program(*events).code == 0
    assert len(there(store)) == 70


# Who is coached


@on_both
def test_the_roster_is_listed_by_profile_group_and_page(coachsync: Command) -> None:
    assert "nobody" in coachsync("roster", "list").err
    coachsync(*IMPORT, export(["ann", "bob", "cid"]))
    coachsync(*IMPORT, export(["ann", "bob"]))
    listed = coachsync.json("roster", "list")
    assert [(one["agent"], one["groups"], one["there"]) for one in listed] == [
        ("ann", ["an", "tier-1"], True),
        ("bob", ["bo", "tier-1"], True),
    ]
    assert [one["agent"] for one in coachsync.json("roster", "list", "--group", "bo")] == ["bob"]
    assert [one["agent"] for one in coachsync.json("roster", "list", "--gone")] == ["cid"]
    first = coachsync("roster", "list", "--limit", 1)
    assert f"the first 1; for more: --profile {PROFILE} --after ann" in first.err
    assert [one["agent"] for one in coachsync.json("roster", "list", "--profile", PROFILE, "--after", "ann")] == ["bob"]
    assert "error: --after: say of which --profile" in coachsync("roster", "list", "--after", "ann", code=2).err


def test_an_agent_is_shown_fact_by_fact_with_who_said_so(coachsync: Command) -> None:
    coachsync(*IMPORT, export(["ann"]), "--as-of", "2026-01-01T00:00:00Z")
    Path("events.jsonl").write_text(json.dumps(told("moved", "ann", 2, id_="m-1", groups=["night"])) + "\n")
    coachsync("roster", "events", "events.jsonl")
    shown = coachsync.json("roster", "show", "ann")
    facts = {fact["field"]: fact for fact in shown["facts"]}
    assert facts["groups"] == {"field": "groups", "value": ["night"], "since": "2026-01-01T02:00:00Z", "by": "/hr m-1"}
    assert facts["usecases"]["since"] == "2026-01-01T00:00:00Z"
    assert "night" in coachsync("roster", "show", "ann").out
    said = coachsync("roster", "show", "zoe", code=2)
    assert said.err == "error: AGENT: nobody is known as 'zoe' (coachsync roster list)\n"


def test_an_agent_of_several_profiles_is_shown_by_profile(coachsync: Command) -> None:
    other = PROFILE.replace("support", "other")
    for home in (PROFILE, other):
        coachsync(*IMPORT, export(["ann"]), "--profile", home)
    said = coachsync("roster", "show", "ann", code=2)
    assert said.err == f"error: AGENT: 'ann' is in several profiles; give one with --profile: {other}, {PROFILE}\n"
    assert coachsync.json("roster", "show", "ann", "--profile", other)["profile"] == other


def test_what_was_set_aside_is_listed_with_its_reason_and_as_it_came(store: Database, coachsync: Command) -> None:
    assert "nothing was set aside" in coachsync("roster", "set-aside").err
    deliver(store, [Entry("1-0", "{broken")], Door("stream", "a stream"), GuardOptions())
    assert len(aside(store)) == 1
    (one,) = coachsync.json("roster", "set-aside")
    assert (one["door"], one["entry"], one["content"]) == ("stream", "1-0", "{broken")
    assert "not valid JSON" in one["reason"]
    assert "not valid JSON" in coachsync("roster", "set-aside").out
