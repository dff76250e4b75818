"""A roster file: what it becomes, and what it is refused for, by line and field."""

import io
import json
from typing import Any

import pytest

from schemas.roster import RosterAgent
from worker.configuration.oversight import RosterColumns
from worker.intake import roster_files
from worker.intake.read_events import in_one_line
from worker.intake.roster_files import RosterFile, RosterForm, read_roster
from worker.intake.source import FileRefused, StreamSource

HOME = "customers/acme/profiles/support"
OTHER = "customers/acme/profiles/other"
VOICE, CHAT = f"{HOME}/usecases/voice", f"{HOME}/usecases/chat"
COLUMNS = "agent,groups,usecases,coachingPlanName,joinedAt\n"
ANN = "ann,tier-1;night,voice,p-ann,2025-01-01T00:00:00Z\n"


def columns(**named: str) -> RosterColumns:
    return RosterColumns.model_validate(named)


def read(content: str | bytes, name: str = "roster.csv", *, profile: str | None = HOME, **how: Any) -> RosterFile:
    data = content.encode() if isinstance(content, str) else content
    form = RosterForm(how.pop("columns", RosterColumns()), profile, **how)
    return read_roster(StreamSource(io.BytesIO(data), name), form)


def agents(found: RosterFile) -> list[RosterAgent]:
    assert found.bad == ()
    return [agent for roster in found.rosters for agent in roster.agents]


def line(**fields: object) -> str:
    return json.dumps({"agent": "ann"} | fields) + "\n"


# What a row becomes


def test_a_row_is_an_agent_with_lists_separated_by_semicolons_and_names_of_the_profile() -> None:
    (ann,) = agents(read(COLUMNS + "ann, night ;tier-1;,voice;chat,p-ann,2025-01-01T00:00:00+01:00\n"))
    assert ann == RosterAgent(
        agent="ann",
        profile=HOME,
        groups=("night", "tier-1"),
        usecases=(CHAT, VOICE),
        coaching_plan_name=f"{HOME}/coachingPlans/p-ann",
        joined_at="2024-12-31T23:00:00Z",
    )


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (COLUMNS + ANN, "roster.csv"),
        ((COLUMNS + ANN).replace(",", "\t"), "roster.tsv"),
        ("\ufeff" + (COLUMNS + ANN).replace("\n", "\r\n"), "stdin"),
        ("agent,groups,usecases,coaching_plan_name,joined_at\n" + ANN, "roster.csv"),
        (COLUMNS + ANN.replace("voice", VOICE).replace("p-ann", f"{HOME}/coachingPlans/p-ann"), "roster.csv"),
        (
            line(
                groups=["tier-1", "night"],
                usecases=["voice"],
                coachingPlanName="p-ann",
                joinedAt="2025-01-01T00:00:00Z",
            ),
            "roster.jsonl",
        ),
        (
            line(groups="tier-1;night", usecases=VOICE, coachingPlanName="p-ann", joinedAt="2025-01-01T00:00:00Z"),
            "stdin",
        ),
    ],
    ids=["csv", "tsv", "as a spreadsheet writes it", "snake_case", "whole names", "jsonl", "jsonl with texts"],
)
def test_every_format_and_spelling_says_the_same(content: str, name: str) -> None:
    assert agents(read(content, name)) == agents(read(COLUMNS + ANN))


def test_an_empty_cell_says_none_of_groups_usecases_and_plan_and_nothing_of_the_time_of_joining() -> None:
    (ann,) = agents(read(COLUMNS + "ann,,,,\n"))
    assert ann.model_fields_set == {"agent", "profile", "groups", "usecases", "coaching_plan_name"}


def test_a_column_that_is_not_there_says_nothing() -> None:
    (ann,) = agents(read("agent\nann\n"))
    assert ann.model_fields_set == {"agent", "profile"}


def test_columns_nobody_reads_are_passed_over() -> None:
    (ann,) = agents(read("Name,agent,E-mail,,groups\nAnn B.,ann,a@b,x,night\n"))
    assert (ann.agent, ann.groups) == ("ann", ("night",))
    (bob,) = agents(read(line(agent="bob", Name="Bob", cost={"centre": [1, 2]}), "r.jsonl"))
    assert bob == RosterAgent(agent="bob", profile=HOME)


def test_a_column_called_otherwise_in_the_settings_is_that_field_and_its_own_name_is_not() -> None:
    named = columns(agent="Personnel no", groups="Team")
    (ann,) = agents(read("groups,Personnel no,Team\nx,ann,night\n", columns=named))
    assert (ann.agent, ann.groups) == ("ann", ("night",))
    (bob,) = agents(
        read('{"agent": "x", "Personnel no": "bob", "Team": null, "groups": ["x"]}\n', "r.jsonl", columns=named)
    )
    assert (bob.agent, bob.groups) == ("bob", ())


def test_a_wrong_cell_is_told_with_the_column_that_it_stands_in() -> None:
    named = columns(joined_at="Hired", groups="Team")
    found = read("agent,Team,Hired\nann,a b,2025-01-01\n", columns=named)
    ((groups, hired),) = [one.errors for one in found.bad]
    assert (groups.field, hired.field) == ("groups[0]", "joinedAt")
    assert groups.reason.endswith(', without spaces (column "Team")')
    assert hired.reason.endswith(' like 2026-01-31T08:00:00Z (column "Hired")')


def test_a_line_that_has_only_the_field_s_own_name_says_nothing_of_a_field_that_is_called_otherwise() -> None:
    _, bob = agents(
        read(line(Team=["night"]) + line(agent="bob", groups=["x"]), "r.jsonl", columns=columns(groups="Team"))
    )
    assert bob.model_fields_set == {"agent", "profile"}


def test_each_profile_in_a_file_has_a_roster_of_its_own() -> None:
    found = read(f"profile,agent,usecases\n{HOME},ann,voice\n{OTHER},ann,voice\n,bob,\n")
    assert [(one.profile, [agent.agent for agent in one.agents]) for one in found.rosters] == [
        (OTHER, ["ann"]),
        (HOME, ["ann", "bob"]),
    ]
    assert found.rosters[0].agents[0].usecases == (f"{OTHER}/usecases/voice",)


def test_the_same_content_has_the_same_name_and_a_file_that_ends_in_a_cell_is_told_from_a_whole_one() -> None:
    whole, cut = read(COLUMNS + ANN), read((COLUMNS + ANN)[:-1])
    assert (whole.ends_whole, cut.ends_whole) == (True, False)
    assert whole.digest == read(COLUMNS + ANN, "other.csv").digest
    assert whole.digest != cut.digest


@pytest.mark.parametrize("cut", range(len(COLUMNS) + 2, len(COLUMNS + ANN * 2), 1))
def test_wherever_an_export_is_cut_off_it_is_wrong_or_ends_without_a_line_end_or_is_whole_rows(cut: int) -> None:
    """And the rows before the last are as they were."""
    whole = COLUMNS + ANN + ANN.replace("ann", "bob")
    try:
        found = read(whole[:cut])
    except FileRefused:
        return
    if not found.bad and found.ends_whole:
        assert agents(found) == agents(read(whole))[: found.rows]
        assert whole[:cut].endswith("\n")


# What is refused


FILES: list[tuple[str | bytes, str, str]] = [
    ("", "r.csv", "r.csv: is empty"),
    ("\n\n", "r.csv", "r.csv: is empty"),
    (b"", "r.jsonl", "r.jsonl: is empty"),
    (COLUMNS, "r.csv", "r.csv: holds no rows; a roster without anybody is not taken"),
    (COLUMNS + "\n\n", "r.csv", "r.csv: holds no rows; a roster without anybody is not taken"),
    ("groups\nnight\n", "r.csv", 'r.csv, line 1: missing column "agent"'),
    ("agnet,groups\nann,x\n", "r.csv", 'r.csv, line 1: column 1, "agnet", is unknown (did you mean "agent"?)'),
    ("agent,usecase\nann,x\n", "r.csv", 'r.csv, line 1: column 2, "usecase", is unknown (did you mean "usecases"?)'),
    ("agent,Groups\nann,x\n", "r.csv", 'r.csv, line 1: column 2, "Groups", is unknown (did you mean "groups"?)'),
    ("agent,agent\nann,x\n", "r.csv", 'r.csv, line 1: columns 1 and 2 are both "agent"; remove one'),
    ("agent,joined_at,joinedAt\nann,,\n", "r.csv", 'r.csv, line 1: columns 2 and 3 are both "joinedAt"; remove one'),
    ("agent;groups\nann;x\n", "r.csv", "r.csv, line 1: the columns are separated by semicolons"),
    ("agent\tgroups\nann\tx\n", "r.csv", "r.csv, line 1: the columns are separated by tabs; name the file .tsv"),
    ((COLUMNS + ANN).encode("utf-16"), "r.csv", "r.csv: is UTF-16 text; save it as UTF-8"),
    (b"PK\x03\x04\n", "r.xlsx", "r.xlsx: is a zip archive or an Excel workbook"),
    (b"\x1f\x8b\n", "r.csv", "r.csv: is gzip data; give the file a name that ends in .gz"),
    (b"age\x00nt\n", "r.csv", "r.csv, line 1, column 4: a NUL byte"),
    ('[{"agent": "ann"}]', "r.jsonl", "r.jsonl, line 1: a JSON array; write one JSON object a line"),
    ("{\n", "r.jsonl", "r.jsonl, line 1: a JSON object spread over several lines"),
    ('{"agent": "ann"}\n', "r.csv", "r.csv, line 1: holds JSON; for one JSON object a line name the file .jsonl"),
]


@pytest.mark.parametrize(("content", "name", "said"), FILES)
def test_a_file_that_is_no_roster_is_refused_in_one_line(content: str | bytes, name: str, said: str) -> None:
    with pytest.raises(FileRefused) as refused:
        read(content, name)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


ROWS: list[tuple[str, str]] = [
    (",x,,,\n", "agent: required, but nothing is given"),
    ("a b,,,,\n", "agent: must be 1 to 500 characters, without spaces"),
    ("a" * 501 + ",,,,\n", "agent: must be 1 to 500 characters, without spaces"),
    ("bob,tier 1,,,\n", "groups[0]: must be 1 to 500 characters, without spaces"),
    ("bob,ok;tier 1;x,,,\n", "groups[1]: must be 1 to 500 characters, without spaces"),
    ("bob,,voice line,,\n", f"usecases[0]: '{HOME}/usecases/voice line': 'voice line' is no id"),
    ("bob,,customers/acme,,\n", "usecases[0]: 'customers/acme' is no usecase name; expected customers/"),
    (f"bob,,{OTHER}/usecases/voice,,\n", f"row: usecases[0] '{OTHER}/usecases/voice' lies outside {HOME}"),
    ("bob,,,my plan,\n", f"coachingPlanName: '{HOME}/coachingPlans/my plan': 'my plan' is no id"),
    (f"bob,,,{OTHER}/coachingPlans/p,\n", f"row: coachingPlanName '{OTHER}/coachingPlans/p' lies outside {HOME}"),
    ("bob,,,,2025-01-01\n", "joinedAt: '2025-01-01' is no RFC 3339 time with an offset"),
    ("bob,,,,01.02.2025 08:00\n", "joinedAt: '01.02.2025 08:00' is no RFC 3339 time with an offset"),
    ("bob,,,,2025-02-30T00:00:00Z\n", "joinedAt: "),
    ("bob,,\n", "row: 3 cells, but the header has 5 columns"),
    ("bob,a,b,c,,f\n", "row: 6 cells, but the header has 5 columns; quote a cell that holds the separator"),
    ('bob,"tier,,,\n', "row: the double quote opened in line 3, column 5 is not closed"),
    ("bob,\x07,,,\n", "row: control character 0x07 at column 5"),
    ("ann,,,,\n", "agent: stands in line 2 already"),
]
LINES: list[tuple[str, str]] = [
    ('{"agent": "bob"', "row: not valid JSON at column 16: expecting ',' delimiter"),
    ("bob\n", "row: not valid JSON at column 1"),
    ("7\n", "row: a line holds one JSON object; this is a number"),
    ('["bob"]\n', "row: a line holds one JSON object; this is an array"),
    ('{"groups": []}\n', "agent: required, but nothing is given"),
    ('{"agent": 7}\n', "agent: must be text"),
    ('{"agent": ""}\n', "agent: must be 1 to 500 characters, without spaces"),
    ('{"agent": "bob", "groups": 7}\n', "groups: must be a JSON array"),
    ('{"agent": "bob", "groups": [7]}\n', "groups[0]: must be text"),
    ('{"agent": "bob", "groups": {"a": 1}}\n', "groups: must be a JSON array"),
    ('{"agent": "bob", "group": ["x"]}\n', 'group: unknown field (did you mean "groups"?)'),
    ('{"agent": "bob", "agent": "ann"}\n', 'row: the key "agent" is given twice in one object'),
    ('{"agent": "bob", "joinedAt": 1735689600}\n', "joinedAt: 1735689600 is no RFC 3339 time"),
    (
        '{"agent": "bob", "joined_at": null, "joinedAt": "x", "joined_at": "y"}\n',
        'row: the key "joined_at" is given twice',
    ),
    ('{"agent": "bob", "joined_at": "x", "joinedAt": "y"}\n', "joinedAt: given twice, in two spellings"),
    ('{"agent": "bob", "coachingPlanName": ["p"]}\n', "coachingPlanName: must be text"),
    ('{"agent": "bob", "profile": 7}\n', "profile: must be text"),
    ('{"agent": "bob", "profile": "support"}\n', "profile: 'support' is no profile name; expected customers/"),
    ('{"agent": "ann"}\n', "agent: stands in line 1 already"),
]


def _words(found: RosterFile) -> list[tuple[int, str]]:
    return [(bad.line, f"{error.field or 'row'}: {error.reason}") for bad in found.bad for error in bad.errors]


@pytest.mark.parametrize(("row", "said"), ROWS, ids=[said for _, said in ROWS])
def test_a_wrong_row_is_named_by_line_and_field_and_nobody_of_the_file_is_taken(row: str, said: str) -> None:
    found = read(COLUMNS + ANN + row + "cid,,,,\n")
    ((at, words),) = _words(found)
    assert at == 3
    assert words.startswith(said)
    assert "\n" not in words
    assert found.rosters == ()
    assert found.bad[0].raw.startswith(row[:3].rstrip("\n"))


@pytest.mark.parametrize(("row", "said"), LINES, ids=[said for _, said in LINES])
def test_a_wrong_line_is_named_by_line_and_field_and_nobody_of_the_file_is_taken(row: str, said: str) -> None:
    found = read(line() + row, "r.jsonl")
    ((at, words),) = _words(found)
    assert (at, found.rosters) == (2, ())
    assert words.startswith(said)


def test_bytes_that_are_no_utf8_are_an_error_of_their_row() -> None:
    found = read((COLUMNS + "j\u00f6rg,,,,\n" + ANN).encode("latin-1"))
    ((at, words),) = _words(found)
    assert at == 2
    assert "is not UTF-8 (Latin-1 or Windows-1252 text?); save it as UTF-8" in words


def test_all_that_is_wrong_is_told_row_by_row() -> None:
    found = read(COLUMNS + "".join(row for row, _ in ROWS if '"' not in row and not row.startswith("ann")))
    assert len(found.bad) == len(ROWS) - 2
    assert [bad.row for bad in found.bad] == [*range(1, len(ROWS) - 1)]
    assert all(in_one_line(bad.errors) for bad in found.bad)


def test_of_a_file_that_is_all_wrong_only_so_much_is_read() -> None:
    found = read(COLUMNS + "x y,,,,\n" * (roster_files.MOST_BAD + 5))
    assert (found.rows, len(found.bad)) == (roster_files.MOST_BAD, roster_files.MOST_BAD)


# The mapping, and the profile


MAPPINGS: list[tuple[dict[str, str], str, str, str]] = [
    ({"groups": "Team"}, "agent\nann\n", "r.csv", 'missing column "Team" (groups, as [roster.columns] says)'),
    (
        {"agent": "No", "joinedAt": "Start"},
        "agent\nann\n",
        "r.csv",
        'missing columns "No" (agent, as [roster.columns] says), "Start" (joinedAt, as [roster.columns] says)',
    ),
    ({"groups": "Team"}, "agent,team\nann,x\n", "r.csv", 'column 2, "team", is unknown (did you mean "Team"?)'),
    ({"groups": "Team"}, "agent,Team,Team\nann,x,y\n", "r.csv", 'columns 2 and 3 are both "groups"; remove one'),
    ({"groups": "Team"}, line(Crew="x"), "r.jsonl", 'no line has the key "Team" (groups, as [roster.columns] says)'),
    ({"groups": "agent"}, "agent\nann\n", "r.csv", 'agent and groups are both "agent"; a column holds one field'),
    ({"agent": "Te\x07am"}, "agent\nann\n", "r.csv", 'missing column "Te\\x07am" (agent'),
]


@pytest.mark.parametrize(("named", "content", "name", "said"), MAPPINGS, ids=[said for *_, said in MAPPINGS])
def test_a_mapping_that_does_not_fit_the_file_is_refused_in_one_line(
    named: dict[str, str], content: str, name: str, said: str
) -> None:
    with pytest.raises(FileRefused) as refused:
        read(content, name, columns=columns(**named))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_any_profile_the_file_must_name_it() -> None:
    with pytest.raises(FileRefused, match='missing column "profile"'):
        read("agent\nann\n", profile=None)
    found = read(line(), "r.jsonl", profile=None)
    assert _words(found) == [(1, "profile: required, but nothing is given")]
    found = read(f"agent,profile\nann,{HOME}\nbob,\n", profile=None)
    assert _words(found) == [(3, "profile: required, but nothing is given")]


def test_a_row_of_another_profile_than_a_person_has_named_is_wrong() -> None:
    found = read(f"agent,profile\nann,\nbob,{OTHER}\n", only=True)
    assert _words(found) == [(3, f"profile: is not {HOME}, which is to be imported")]


def test_the_bad_inputs_are_more_than_forty() -> None:
    assert len(FILES) + len(ROWS) + len(LINES) + len(MAPPINGS) >= 60
