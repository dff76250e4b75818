"""Laws of the readers: any bytes are read or refused, every row is counted, and what was written is read back."""

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.instants import format_instant
from schemas.jobs import JobKind, QuotaRecalculation, TargetUpdate, Wish
from schemas.lanes import Lane
from worker.intake.readers import BadRow, GoodRow, Tally, first_pass, read_wishes
from worker.intake.source import FileRefused, StreamSource, spool

# how fast examples come is a matter of what else the machine does
UNHURRIED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HEADER = b"name,scorecardTemplateName,usecaseName,target"
PROFILE = "customers/acme/profiles/eu"
GOOD = f"{PROFILE}/targets/t1,{PROFILE}/scorecardTemplates/s1,{PROFILE}/usecases/u1,80".encode()
NAMES = st.sampled_from(["stdin", "w.csv", "w.tsv", "w.jsonl", "w.csv.gz", "w.json", "w"])
KINDS = st.sampled_from([JobKind.TARGET_UPDATE, JobKind.QUOTA_RECALCULATION])  # what comes in files


def read(data: bytes, name: str, kind: JobKind) -> list[GoodRow | BadRow]:
    return list(read_wishes(StreamSource(io.BytesIO(data), name), kind))


def read_twice(data: bytes, name: str, kind: JobKind) -> tuple[Tally, list[GoodRow | BadRow]]:
    with spool(StreamSource(io.BytesIO(data), name)) as copy:
        tally = first_pass(copy, kind)
        return tally, list(read_wishes(copy, kind, tally.seen))


def check_laws(data: bytes, name: str, kind: JobKind) -> None:
    try:
        tally, rows = read_twice(data, name, kind)
    except FileRefused as refused:
        assert str(refused).isprintable()  # noqa: PT017 - a refusal is one of two good ends
        return
    assert [row.row for row in rows] == list(range(1, len(rows) + 1))
    assert all(before.line < after.line for before, after in pairwise(rows))
    for row in rows:
        if isinstance(row, BadRow):
            assert row.errors
            assert all(text.isprintable() for error in row.errors for text in (error.field, error.reason, error.value))
    assert (tally.rows, tally.bad) == (len(rows), sum(isinstance(row, BadRow) for row in rows))


@given(st.binary(max_size=200), NAMES, KINDS)
@UNHURRIED
def test_any_bytes_are_read_or_refused(data: bytes, name: str, kind: JobKind) -> None:
    check_laws(data, name, kind)


SIGNS = [b'"', b'""', b",", b"\t", b"\n", b"\r", b"\r\n", b"\0", b"{", b"}", b"[", b":", b"\x0b", b" "]
LETTERS = [b"\xff", b"\xed\xa0\x80", b"\xc2\xa0", b"\xe2\x80\xa8", b"\\ud800", b'"\\u0000"', b"NaN", b"1e999", b"null"]
WORDS = [b'"name"', b'"target"', HEADER, GOOD, b"scorecardTemplateName\n", b'"evaluationPeriod":{"startTime":']
FRAGMENTS = st.sampled_from([*SIGNS, *LETTERS, *WORDS, HEADER + b"\n", GOOD + b"\n"])
BROKEN = st.lists(FRAGMENTS | st.binary(max_size=3), max_size=30).map(b"".join)


@given(BROKEN, NAMES, KINDS)
@settings(UNHURRIED, max_examples=200)
@example(b'{"evaluationPeriod":{"\\ud800":1},"scorecardTemplateName":"x"}', "w.jsonl", JobKind.QUOTA_RECALCULATION)
def test_broken_files_are_read_or_refused(data: bytes, name: str, kind: JobKind) -> None:
    check_laws(data, name, kind)


@given(BROKEN)
@settings(UNHURRIED, max_examples=200)
def test_broken_rows_after_a_good_header_are_read_or_refused(data: bytes) -> None:
    check_laws(HEADER + b"\n" + data, "w.csv", JobKind.TARGET_UPDATE)


@given(st.integers(0, 400), st.integers(0, 255))
@UNHURRIED
def test_a_damaged_gzip_file_is_read_or_refused(place: int, byte: int) -> None:
    data = bytearray(gzip.compress(HEADER + b"\n" + GOOD + b"\n", mtime=0))
    data[place % len(data)] = byte
    check_gzip(bytes(data))
    check_gzip(bytes(data[: place % len(data)]))


def check_gzip(data: bytes) -> None:
    with spool(StreamSource(io.BytesIO(data), "w.csv.gz")) as copy:
        try:
            rows = list(read_wishes(copy, JobKind.TARGET_UPDATE))
        except FileRefused:
            return
        assert rows


LINES = st.sampled_from(
    [GOOD, GOOD.replace(b"80", b"101"), b"", b"  ", b"x,y", b'"open,', b'a"b,,,', b"\xff,,,", b"a\0b"]
)


@given(st.lists(LINES, max_size=20), st.sampled_from([b"\n", b"\r\n", b"\r"]))
@UNHURRIED
def test_rows_given_are_good_and_bad_rows_together(lines: list[bytes], end: bytes) -> None:
    given_rows = sum(bool(line.strip()) for line in lines)
    if not given_rows:
        return
    rows = read(end.join([HEADER, *lines]), "w.csv", JobKind.TARGET_UPDATE)
    assert len(rows) == given_rows
    assert sum(isinstance(row, GoodRow) for row in rows) == lines.count(GOOD)


IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,12}", fullmatch=True)
PERCENTAGES = st.floats(0, 100, width=32) | st.integers(0, 100).map(float)
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as asked
CRITERIA = st.from_regex(r"[^\s/?#&%\x00-\x1f\x7f]{0,12}", fullmatch=True).filter(str.isprintable)
KEYS = st.from_regex(r"[\x21-\x7e]{1,20}", fullmatch=True)


def named(collection: str) -> st.SearchStrategy[str]:
    return IDS.map(lambda identifier: f"{PROFILE}/{collection}/{identifier}")


def updates(*, criterion: bool, plan: bool) -> st.SearchStrategy[TargetUpdate]:
    """In one CSV file a column states its field for every row or, where it is not there, for none."""
    return st.fixed_dictionaries(
        {
            "name": named("targets"),
            "scorecard_template_name": named("scorecardTemplates"),
            "usecase_name": named("usecases"),
            "target": PERCENTAGES,
            "criterion_or_chapter_id": CRITERIA if criterion else st.none(),
            "coaching_plan_name": st.just("") | named("coachingPlans") if plan else st.none(),
        },
        optional={
            "qa_score": PERCENTAGES,
            "create_time": INSTANTS,
            "update_time": INSTANTS,
            "as_of": INSTANTS,
            "request_key": KEYS,
            "priority": st.sampled_from(Lane),
        },
    ).map(TargetUpdate.model_validate)


COUNTS = st.integers(0, 2**31 - 1)
USERS = st.from_regex(r"[^\s\x00-\x1f\x7f]{1,9}", fullmatch=True)
AGENTS = st.fixed_dictionaries({"user": USERS, "evaluated_conversation_count_per_agent": COUNTS})
PERIODS = st.tuples(INSTANTS, INSTANTS).filter(lambda pair: pair[0] != pair[1]).map(sorted)
QUOTAS = st.fixed_dictionaries(
    {"scorecard_template_name": named("scorecardTemplates").map(lambda name: f"{name}@r1")},
    optional={
        "usecase_name": named("usecases"),
        "evaluation_period": PERIODS.map(lambda pair: {"start_time": pair[0], "end_time": pair[1]}),
        "override_task_complete_config": st.fixed_dictionaries(
            {"evaluated_conversation_count_per_agent": COUNTS}, optional={"overridden_agents": st.tuples(AGENTS)}
        ),
        "as_of": INSTANTS,
        "request_key": KEYS,
    },
).map(QuotaRecalculation.model_validate)
BOOLEANS = st.booleans()
FILES = st.tuples(BOOLEANS, BOOLEANS).flatmap(
    lambda has: st.lists(updates(criterion=has[0], plan=has[1]), min_size=1, max_size=3)
) | st.lists(QUOTAS, min_size=1, max_size=3)


def snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def as_json_lines(wishes: Sequence[Wish], spell: Callable[[str], str]) -> bytes:
    def respelled(value: object) -> object:
        match value:
            case dict():
                return {spell(key): respelled(inner) for key, inner in value.items()}
            case list():
                return [respelled(inner) for inner in value]
            case _:
                return value

    return b"".join(
        json.dumps(respelled(wish.model_dump(mode="json", by_alias=True))).encode() + b"\n" for wish in wishes
    )


def cells_of(wish: Wish) -> Iterator[tuple[str, str]]:
    for field, value in wish.model_dump(by_alias=True, exclude_none=True).items():
        match value:
            case {"startTime": datetime() as start, "endTime": datetime() as end}:
                yield from ((f"{field}.startTime", format_instant(start)), (f"{field}.endTime", format_instant(end)))
            case dict():
                yield field, json.dumps(value)
            case datetime():
                yield field, format_instant(value)
            case float():
                yield field, repr(value)
            case _:
                yield field, str(value)


def as_delimited(wishes: Sequence[Wish], spell: Callable[[str], str], delimiter: str, quoting: int) -> bytes:
    rows = [dict(cells_of(wish)) for wish in wishes]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)
    writer.writerows(
        [[spell(column) for column in columns], *([row.get(column, "") for column in columns] for row in rows)]
    )
    return text.getvalue().encode()


@given(
    FILES, st.sampled_from([str, snake]), st.sampled_from([("w.csv", ","), ("w.tsv", "\t"), ("stdin", "\t")]), BOOLEANS
)
@UNHURRIED
def test_wishes_written_as_csv_or_tsv_are_read_back(
    wishes: list[Wish],
    spell: Callable[[str], str],
    form: tuple[str, str],
    quoted: bool,  # noqa: FBT001 - drawn
) -> None:
    name, delimiter = form
    data = as_delimited(wishes, spell, delimiter, csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    rows = read(data, name, wishes[0].kind)
    assert [row.wish if isinstance(row, GoodRow) else row for row in rows] == wishes


@given(FILES, st.sampled_from([str, snake]), st.sampled_from(["w.jsonl", "w.ndjson", "stdin"]))
@UNHURRIED
def test_wishes_written_as_json_lines_are_read_back(wishes: list[Wish], spell: Callable[[str], str], name: str) -> None:
    rows = read(as_json_lines(wishes, spell), name, wishes[0].kind)
    assert [row.wish if isinstance(row, GoodRow) else row for row in rows] == wishes
