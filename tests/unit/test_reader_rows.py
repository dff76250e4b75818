"""Wrong rows: each is named by its line, its field and a reason in plain words, and reading goes on after it."""

import io
import sys
from typing import NamedTuple

import pytest

from schemas.jobs import JobKind
from worker.intake.delimited import _rows
from worker.intake.lines import Line, Lines
from worker.intake.readers import BadRow, GoodRow, read_wishes
from worker.intake.row_errors import FieldError
from worker.intake.source import StreamSource

PROFILE = "customers/acme/profiles/eu"
NAME, TEMPLATE, USECASE = f"{PROFILE}/targets/t1", f"{PROFILE}/scorecardTemplates/s1", f"{PROFILE}/usecases/u1"
REVISION = f"{TEMPLATE}@r1"
GOOD = f"{NAME},{TEMPLATE},{USECASE},80"
HEADER = "name,scorecardTemplateName,usecaseName,target"
UPDATE, QUOTA = JobKind.TARGET_UPDATE, JobKind.QUOTA_RECALCULATION
FORMAT = "customers/{customer}/profiles/{profile}"
NO_TIME = "is no RFC 3339 time with an offset, like 2026-01-31T08:00:00Z"
NOTHING = "required, but nothing is given"
UTF8 = "(Latin-1 or Windows-1252 text?); save it as UTF-8 (in Excel: CSV UTF-8)"
TWICE = "write a double quote inside a cell as two"


class Wrong(NamedTuple):
    """A file in which one row is wrong, and what is said of it; the name's suffix gives the format."""

    claim: str
    data: bytes
    line: int
    field: str
    reason: str
    value: str = ""
    kind: JobKind = UPDATE
    name: str = "stdin"


def target(value: str, claim: str, reason: str) -> Wrong:
    return Wrong(
        f"target {claim}", f"{HEADER}\n{NAME},{TEMPLATE},{USECASE},{value}\n".encode(), 2, "target", reason, value
    )


def cell(column: str, value: str, reason: str, field: str | None = None) -> Wrong:
    data = f"{HEADER},{column}\n{GOOD},{value}\n".encode()
    return Wrong(f"cell {column} {value[:30]!r}", data, 2, column if field is None else field, reason, value)


def name(value: str, reason: str) -> Wrong:
    return Wrong(
        f"name {value[:40]!r}", f"{HEADER}\n{value},{GOOD.split(',', 1)[1]}\n".encode(), 2, "name", reason, value
    )


def csv(claim: str, text: str | bytes, line: int, reason: str) -> Wrong:
    data = text if isinstance(text, bytes) else text.encode()
    return Wrong(claim, HEADER.encode() + b"\n" + data, line, "", reason)


def member(text: str, field: str, reason: str, value: str = "") -> Wrong:
    """One member added to an object that is good without it."""
    data = f'{{"name":"{NAME}","scorecardTemplateName":"{TEMPLATE}","usecaseName":"{USECASE}",{text}}}\n'
    return Wrong(f"member {text[:40]}", data.encode(), 1, field, reason, value, name="wishes.jsonl")


def line(text: str, reason: str) -> Wrong:
    return Wrong(f"line {text[:40]!r}", f"{text}\n".encode(), 1, "", reason, name="wishes.jsonl")


def quota(header: str, row: str, field: str, reason: str, value: str = "") -> Wrong:
    data = f"scorecardTemplateName{header}\n{row}\n".encode()
    return Wrong(f"quota {row[-40:]!r}", data, 2, field, reason, value, QUOTA)


def quota_json(text: str, field: str, reason: str, value: str = "") -> Wrong:
    data = f'{{"scorecardTemplateName":"{REVISION}",{text}}}\n'.encode()
    return Wrong(f"quota {text[:50]}", data, 1, field, reason, value, QUOTA, "quotas.jsonl")


WRONG = [
    # numbers
    target("abc", "is a word", "'abc' is no number; write it like 82.5"),
    target("NaN", "is NaN", "must be a finite number"),
    target("-Infinity", "is infinite", "must be a finite number"),
    target("1e400", "is beyond a float", "must be a finite number"),
    target("-1", "is negative", "-1 is outside 0 to 100 (percent)"),
    target("100.0001", "is above 100", "100.0001 is outside 0 to 100 (percent)"),
    target("80%", "has a percent sign", "'80%' is no number; write it like 82.5"),
    target("1_0", "is Python's spelling", "'1_0' is no number; write it like 82.5"),
    target("0x10", "is hexadecimal", "'0x10' is no number; write it like 82.5"),
    target("٣", "has digits of another script", "'٣' is no number; write it like 82.5"),
    target("true", "is a boolean", "'true' is no number; write it like 82.5"),
    Wrong("target is empty", f"{HEADER}\n{NAME},{TEMPLATE},{USECASE},\n".encode(), 2, "target", NOTHING),
    Wrong(
        "target has a decimal comma",
        f'{HEADER}\n{NAME},{TEMPLATE},{USECASE},"80,5"\n'.encode(),
        2,
        "target",
        "'80,5' is no number; write it like 82.5 (decimal point, not comma)",
        "80,5",
    ),
    cell("qaScore", "x", "'x' is no number; write it like 82.5"),
    # names
    name("t1", f"'t1' is no target name; expected {FORMAT}/targets/{{id}}"),
    name(TEMPLATE, f"'{TEMPLATE}' is no target name; expected {FORMAT}/targets/{{id}}"),
    name(
        f"{PROFILE}/targets/a b",
        f"'{PROFILE}/targets/a b': 'a b' is no id (letters, digits, . _ ~ -); expected {FORMAT}/targets/{{id}}",
    ),
    name(f"{NAME}@2", f"'{NAME}@2': a target name takes no @revision; expected {FORMAT}/targets/{{id}}"),
    name(f" {NAME}", f"' {NAME}' is no target name; expected {FORMAT}/targets/{{id}}"),
    cell("coachingPlanName", "p1", f"'p1' is no coaching plan name; expected {FORMAT}/coachingPlans/{{id}}"),
    Wrong(
        "a plan of another profile",
        f"{HEADER},coachingPlanName\n{GOOD},customers/acme/profiles/us/coachingPlans/p1\n".encode(),
        2,
        "",
        f"coachingPlanName 'customers/acme/profiles/us/coachingPlans/p1' lies outside {PROFILE}, where '{NAME}' is",
    ),
    # times, keys, lanes, ids
    cell("asOf", "2026-01-01", f"'2026-01-01' {NO_TIME}"),
    cell("asOf", "2026-01-01T00:00:00", f"'2026-01-01T00:00:00' {NO_TIME}"),
    cell("as_of", "yesterday", f"'yesterday' {NO_TIME}", field="asOf"),
    cell("createTime", "2026-13-01T00:00:00Z", "'2026-13-01T00:00:00Z' is no time: month must be in 1..12"),
    cell("requestKey", "a b", "must be 1 to 255 printable ASCII characters, without spaces"),
    cell("priority", "urgent", "must be interactive or bulk"),
    cell("criterionOrChapterId", "a/b", "must be at most 128 characters, without spaces and / ? # & %"),
    cell(
        "target.criterion_or_chapter_id",
        "a b",
        "must be at most 128 characters, without spaces and / ? # & %",
        field="criterionOrChapterId",
    ),
    # the shape of a CSV row
    csv("too few cells", f"{NAME},{TEMPLATE}\n", 2, "2 cells, but the header has 4 columns"),
    csv(
        "too many cells",
        f"{NAME},{TEMPLATE},{USECASE},80,5\n",
        2,
        "5 cells, but the header has 4 columns; quote a cell that holds the separator",
    ),
    csv(
        "an empty cell too many",
        f"{GOOD},\n",
        2,
        "5 cells, but the header has 4 columns; quote a cell that holds the separator",
    ),
    csv(
        "text after a quoted cell",
        f'"{NAME}"x,{TEMPLATE},{USECASE},80\n',
        2,
        f"text follows the closing quote of a cell; {TWICE}",
    ),
    csv(
        "a quote open until the file's end",
        f'{NAME},"{TEMPLATE},{USECASE},80',
        2,
        f"the double quote opened in line 2, column {len(NAME) + 2} is not closed; {TWICE}",
    ),
    csv(
        "a cell beyond the limit",
        f'"{"x" * 131_073}",{TEMPLATE},{USECASE},80\n',
        2,
        "a cell is longer than 131072 characters",
    ),
    csv("a line beyond 1 MiB", "x" * (2**20) + "\n", 2, "the line is longer than 1048576 bytes"),
    csv("a NUL byte", f"{NAME}\0,{TEMPLATE},{USECASE},80\n", 2, f"control character 0x00 at column {len(NAME) + 1}"),
    csv("a control character after letters beyond Latin", f"€€\x7f,{GOOD}\n", 2, "control character 0x7f at column 3"),
    csv(
        "a space only Python sees",
        f"{NAME},{TEMPLATE},{USECASE},\x1f80\n",
        2,
        f"control character 0x1f at column {len(GOOD) - 1}",
    ),
    csv(
        "Latin-1",
        f"{GOOD}\xe4\n".encode("latin-1"),
        2,
        f"byte 0xe4 at offset {len(HEADER) + 1 + len(GOOD)} of the file is not UTF-8 {UTF8}",
    ),
    csv(
        "UTF-8 cut in half",
        GOOD.encode() + b"\xe2\x82\n",
        2,
        f"byte 0xe2 at offset {len(HEADER) + 1 + len(GOOD)} of the file is not UTF-8 {UTF8}",
    ),
    # JSON lines: the line
    Wrong(
        "Latin-1 after a byte order mark",
        b'\xef\xbb\xbf{"name":"\xe4"}\n',
        1,
        "",
        f"byte 0xe4 at offset 12 of the file is not UTF-8 {UTF8}",
        name="wishes.jsonl",
    ),
    line(
        "{a:1}", "not valid JSON at column 2: expecting property name enclosed in double quotes"
    ),  # 3.13 words a trailing comma anew
    line("name", "not valid JSON at column 1: expecting value"),
    line('{"a" 1}', "not valid JSON at column 6: expecting ':' delimiter"),
    line('{"a":1 "b":2}', "not valid JSON at column 8: expecting ',' delimiter"),
    line('{"a":"b', "not valid JSON at column 6: unterminated string starting"),
    line(r'{"a":"\x"}', r"not valid JSON at column 7: invalid \escape"),
    line("{} {}", "not valid JSON at column 4: extra data"),
    line("42", "a line holds one JSON object; this is a number"),
    line("true", "a line holds one JSON object; this is a boolean"),
    line("null", "a line holds one JSON object; this is null"),
    line('"{}"', "a line holds one JSON object; this is a text"),
    line('{"a":"\x01"}', "control character 0x01 at column 7"),
    line('{"target":1,"target":2}', 'the key "target" is given twice in one object'),
    line('{"a":' * 100_000, "the JSON is nested too deeply"),
    line('{"target":' + "9" * 5000 + "}", "the JSON holds a number of thousands of digits"),
    line('{"a":"' + "x" * 2**20 + '"}', "the line is longer than 1048576 bytes"),
    # JSON lines: the fields
    member('"target":NaN', "target", "must be a finite number", "NaN"),
    member('"target":1e400', "target", "must be a finite number", "Infinity"),
    member('"target":-1', "target", "-1 is outside 0 to 100 (percent)", "-1"),
    member('"target":true', "target", "a boolean is no number", "true"),
    member('"target":[80]', "target", "must be a number", "[80]"),
    member('"target":{"value":80}', "target", "must be a number", '{"value": 80}'),
    member('"target":null', "target", NOTHING),
    member('"target":""', "target", "'' is no number; write it like 82.5"),
    member('"target":80,"goal":1', "goal", "unknown field", "1"),
    member('"target":80,"Priority":"bulk"', "Priority", 'unknown field (did you mean "priority"?)', "bulk"),
    member('"target":80,"\\ud800":1', r"\ud800", "unknown field", "1"),
    member('"target":80,"requestKey":5', "requestKey", "must be text", "5"),
    member('"target":80,"requestKey":""', "requestKey", "must be 1 to 255 printable ASCII characters, without spaces"),
    member('"target":80,"asOf":""', "asOf", f"'' {NO_TIME}"),
    member('"target":80,"as_of":null,"asOf":5', "asOf", "5 is no RFC 3339 time like 2026-01-31T08:00:00Z", "5"),
    member('"target":80,"request_key":"a","requestKey":"a"', "requestKey", "given twice, in two spellings"),
    member('"target":80,"target.target":80', "target", "given twice, in two spellings"),
    member(
        '"target":80,"criterionOrChapterId":"\\ud800"',
        "criterionOrChapterId",
        "holds half of a surrogate pair, which is no text",
        r"\ud800",
    ),
    # quotas
    quota_json(
        '"evaluation_period":{"start_time":"2026-01-01T00:00:00Z","end_time":"2026-01-02T00:00:00Z","per_day":1}',
        "evaluationPeriod.per_day",
        "unknown field",
        "1",
    ),
    quota_json(
        '"evaluation_period":{"start_time":"monday","end_time":"2026-01-01T00:00:00Z"}',
        "evaluationPeriod.startTime",
        f"'monday' {NO_TIME}",
        "monday",
    ),
    quota(
        ",overrideTaskCompleteConfig",
        f'{REVISION},"{{\n"{REVISION}",',
        "",
        f"the double quote opened in line 2, column {len(REVISION) + 2} is not closed; {TWICE}",
    ),
    quota(
        ",overrideTaskCompleteConfig",
        f'"{REVISION}","\n","{{',
        "",
        f"the double quote opened in line 3, column 3 is not closed; {TWICE}",
    ),
    quota(
        "",
        TEMPLATE,
        "scorecardTemplateName",
        f"'{TEMPLATE}': a scorecard template name needs its @revision; "
        f"expected {FORMAT}/scorecardTemplates/{{id}}@{{revision}}",
        TEMPLATE,
    ),
    quota(
        ",evaluationPeriod.startTime,evaluationPeriod.endTime",
        f"{REVISION},2026-01-01T00:00:00Z,",
        "evaluationPeriod.endTime",
        NOTHING,
    ),
    quota(
        ",evaluation_period.start_time,evaluation_period.end_time",
        f"{REVISION},monday,2026-01-01T00:00:00Z",
        "evaluationPeriod.startTime",
        f"'monday' {NO_TIME}",
        "monday",
    ),
    quota(
        ",evaluationPeriod.startTime,evaluationPeriod.endTime",
        f"{REVISION},2026-01-02T00:00:00Z,2026-01-01T00:00:00Z",
        "evaluationPeriod",
        "the evaluation period's endTime must be later than its startTime",
        '{"startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-01T00:00:00Z"}',
    ),
    quota(
        ",overrideTaskCompleteConfig",
        f"{REVISION},five",
        "overrideTaskCompleteConfig",
        "not valid JSON at column 1: expecting value",
        "five",
    ),
    quota(",overrideTaskCompleteConfig", f"{REVISION},[]", "overrideTaskCompleteConfig", "must be a JSON object", "[]"),
    quota(
        ",overrideTaskCompleteConfig",
        f"{REVISION},{{}}",
        "overrideTaskCompleteConfig",
        "an override without evaluatedConversationCountPerAgent and overriddenAgents overrides nothing",
        "{}",
    ),
    quota_json('"evaluationPeriod":"May"', "evaluationPeriod", "must be a JSON object", "May"),
    quota_json(
        '"evaluationPeriod.startTime":"2026-01-01T00:00:00Z"',
        "evaluationPeriod.startTime",
        'unknown field (did you mean "evaluationPeriod"?)',
        "2026-01-01T00:00:00Z",
    ),
    quota_json(
        '"evaluationPeriod":{"startTime":"2026-01-01T00:00:00Z","endTime":null}', "evaluationPeriod.endTime", NOTHING
    ),
    quota_json(
        '"overrideTaskCompleteConfig":{"overriddenAgents":{}}',
        "overrideTaskCompleteConfig.overriddenAgents",
        "must be a JSON array",
        "{}",
    ),
    quota_json(
        '"overrideTaskCompleteConfig":{"overriddenAgents":[{"user":"u","evaluatedConversationCountPerAgent":1.5}]}',
        "overrideTaskCompleteConfig.overriddenAgents[0].evaluatedConversationCountPerAgent",
        "must be a whole number",
        "1.5",
    ),
    quota_json(
        '"overrideTaskCompleteConfig":{"overriddenAgents":[{"user":"","evaluatedConversationCountPerAgent":1}]}',
        "overrideTaskCompleteConfig.overriddenAgents[0].user",
        "must be 1 to 500 characters, without spaces",
    ),
    quota_json(
        '"overrideTaskCompleteConfig":{"evaluatedConversationCountPerAgent":3,"perDay":1}',
        "overrideTaskCompleteConfig.perDay",
        "unknown field",
        "1",
    ),
]


def read(data: bytes, name: str = "stdin", kind: JobKind = UPDATE) -> list[GoodRow | BadRow]:
    return list(read_wishes(StreamSource(io.BytesIO(data), name), kind))


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.claim)
def test_a_wrong_row_is_named_by_line_field_and_reason(wrong: Wrong) -> None:
    [row] = read(wrong.data, wrong.name, wrong.kind)[:1]
    assert isinstance(row, BadRow)
    assert [(error.field, error.reason, error.value) for error in row.errors] == [
        (wrong.field, wrong.reason, wrong.value)
    ]
    assert (row.row, row.line) == (1, wrong.line)
    assert row.raw.isprintable()


def good_row(wrong: Wrong) -> bytes:
    if wrong.name.endswith(".jsonl"):
        update = f'{{"name":"{NAME}","scorecardTemplateName":"{TEMPLATE}","usecaseName":"{USECASE}","target":80}}'
        return (update if wrong.kind is UPDATE else f'{{"scorecardTemplateName":"{REVISION}"}}').encode()
    header = wrong.data.splitlines()[0]
    row = (GOOD if wrong.kind is UPDATE else REVISION).encode()
    return row + b"," * (header.count(b",") - row.count(b","))


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.claim)
def test_reading_goes_on_after_a_wrong_row(wrong: Wrong) -> None:
    data = wrong.data.removesuffix(b"\n") + b"\n" + good_row(wrong) + b"\n"
    rows = read(data, wrong.name, wrong.kind)
    assert isinstance(rows[0], BadRow)
    assert isinstance(rows[-1], GoodRow)
    assert rows[-1].line == len(data.splitlines())
    assert [row.row for row in rows] == list(range(1, len(rows) + 1))


def test_all_errors_of_a_row_are_told_at_once() -> None:
    [row] = read(f"{HEADER},priority\n,{TEMPLATE},x,101,soon\n".encode())
    assert isinstance(row, BadRow)
    assert [error.field for error in row.errors] == ["name", "usecaseName", "target", "priority"]


def test_the_errors_of_one_row_are_bounded() -> None:
    agents = ",".join(["5"] * 30)
    text = f'{{"scorecardTemplateName":"{REVISION}","overrideTaskCompleteConfig":{{"overriddenAgents":[{agents}]}}}}'
    [row] = read(text.encode(), "quotas.jsonl", QUOTA)
    assert isinstance(row, BadRow)
    assert len(row.errors) == 21
    assert row.errors[-1].reason == "and 10 more errors"


def test_what_is_shown_of_a_row_is_trimmed_and_printable() -> None:
    [row] = read(f"{HEADER}\n{NAME},{TEMPLATE},{USECASE},\u202e{'9' * 5000}\n".encode())
    assert isinstance(row, BadRow)
    assert len(row.raw) <= 1000 + len(r"\u202e")
    assert row.raw.isprintable()
    assert row.errors[0].value.startswith(r"\u202e999")
    assert len(row.errors[0].value) <= 200 + len(r"\u202e")


def test_a_stray_quote_costs_one_row_only() -> None:
    rows = read(f'{HEADER}\n{GOOD}\n"{GOOD}\n{GOOD}\n{GOOD}\n"{GOOD}\n{GOOD}\n'.encode())
    assert [type(row) for row in rows] == [GoodRow, BadRow, GoodRow, GoodRow, BadRow, GoodRow]
    assert [row.line for row in rows] == [2, 3, 4, 5, 6, 7]


def test_json_of_any_depth_is_a_row() -> None:
    """What can just be read may be too deep to be shown."""
    deepest = sys.getrecursionlimit()
    for depth in range(deepest - 150, deepest):
        [row] = read(b'{"goal":' + b"[" * depth + b"]" * depth + b"}\n", "wishes.jsonl")
        assert isinstance(row, BadRow)
        assert row.errors[0].field in ("goal", "")


def test_two_stray_quotes_take_no_row_between_them_along() -> None:
    """The second would close the first: read as one row, three good ones would be part of a bad one."""
    rows = read(f'{HEADER}\n"{GOOD}\n{GOOD}\n{GOOD}\n{GOOD}\n{NAME}",{TEMPLATE},{USECASE},80\n'.encode())
    assert [type(row) for row in rows] == [BadRow, GoodRow, GoodRow, GoodRow, BadRow]


class CountedLines(Lines):
    taken = 0

    def __next__(self) -> Line:
        self.taken += 1
        return super().__next__()


def test_quotes_that_never_close_are_read_in_linear_time() -> None:
    """Each line leaves a quote open, whether it begins inside one or not: to read on from each would be 2,000²."""
    lines = CountedLines(Line(number, 0, b'a","c\n') for number in range(1, 2_001))
    rows = list(_rows(lines, ",", may_span_lines=True))
    assert len(rows) == 2_000
    assert all(isinstance(row.cells, FieldError) for row in rows)
    assert lines.taken < 3 * 2_000
