"""Files that cannot be read at all are refused before the first row, in one line with the remedy; the rest is taken."""

import gzip
import io
import os
from pathlib import Path

import pytest

from schemas.jobs import JobKind, QuotaRecalculation, TargetUpdate
from worker.intake.readers import GoodRow, read_wishes
from worker.intake.source import FileRefused, FileSource, StreamSource, source_for

DATA = Path(__file__).parents[1] / "data"
PROFILE = "customers/acme/profiles/eu"
HEADER = "name,scorecardTemplateName,usecaseName,target"
GOOD = f"{PROFILE}/targets/t1,{PROFILE}/scorecardTemplates/s1,{PROFILE}/usecases/u1,80"
UPDATE = JobKind.TARGET_UPDATE
UTF8 = "save it as UTF-8 (in Excel: CSV UTF-8)"
TWICE = "write a double quote inside a cell as two"
GZIP = "rename it without .gz, or compress it with gzip"
JSONL = "write one JSON object a line (JSONL)"


def read(data: bytes, name: str = "stdin", kind: JobKind = UPDATE) -> list[object]:
    return list(read_wishes(StreamSource(io.BytesIO(data), name), kind))


def read_file(path: Path, kind: JobKind = UPDATE) -> list[object]:
    return list(read_wishes(FileSource(path, path.name), kind))


REFUSED = [
    ("empty", "w.csv", b"", "w.csv: is empty"),
    ("only blank lines", "w.csv", b"\n \r\n\n", "w.csv: is empty"),
    ("only a byte order mark", "w.csv", b"\xef\xbb\xbf", "w.csv: is empty"),
    ("only a header", "w.csv", HEADER.encode(), "w.csv: holds no rows"),
    (
        "a missing column",
        "w.csv",
        b"name,scorecardTemplateName,target\n",
        'w.csv, line 1: missing column "usecaseName"',
    ),
    (
        "missing columns, all named",
        "w.csv",
        b"name\n",
        'w.csv, line 1: missing columns "scorecardTemplateName", "usecaseName", "target"',
    ),
    (
        "an unknown column",
        "w.csv",
        f"{HEADER},team\n".encode(),
        'w.csv, line 1: column 5, "team", is unknown',
    ),
    (
        "a field of ours spelled as the API's",
        "w.csv",
        f"{HEADER},target.priority\n".encode(),
        'w.csv, line 1: column 5, "target.priority", is unknown (did you mean "priority"?)',
    ),
    (
        "a misspelled column",
        "w.csv",
        f"{HEADER},qa_scor\n".encode(),
        'w.csv, line 1: column 5, "qa_scor", is unknown (did you mean "qa_score"?)',
    ),
    (
        "a column in the wrong case",
        "w.csv",
        b"NAME,scorecardTemplateName,usecaseName,target\n",
        'w.csv, line 1: column 1, "NAME", is unknown (did you mean "name"?); missing column "name"',
    ),
    (
        "a column twice",
        "w.csv",
        f"{HEADER},target\n".encode(),
        'w.csv, line 1: columns 4 and 5 are both "target"; remove one',
    ),
    (
        "a column in two spellings",
        "w.csv",
        f"{HEADER},asOf,as_of,target.name\n".encode(),
        'w.csv, line 1: columns 5 and 6 are both "asOf"; remove one; columns 1 and 7 are both "name"; remove one',
    ),
    (
        "a column without a name",
        "w.csv",
        f"{HEADER},\n".encode(),
        "w.csv, line 1: column 5 has no name; name it or remove it",
    ),
    (
        "too many problems to tell",
        "w.csv",
        (HEADER + ",x1" * 500).encode(),
        "w.csv, line 1: " + "; ".join(f'column {n}, "x1", is unknown' for n in range(5, 10)) + "; and more",
    ),
    (
        "semicolons",
        "w.csv",
        HEADER.replace(",", ";").encode(),
        "w.csv, line 1: the columns are separated by semicolons; separate them with commas",
    ),
    (
        "tabs in a .csv",
        "w.csv",
        HEADER.replace(",", "\t").encode(),
        "w.csv, line 1: the columns are separated by tabs; name the file .tsv",
    ),
    (
        "commas in a .tsv",
        "w.tsv",
        HEADER.encode(),
        "w.tsv, line 1: the columns are separated by commas; name the file .csv",
    ),
    (
        "vertical bars",
        "w.tsv",
        HEADER.replace(",", "|").encode(),
        "w.tsv, line 1: the columns are separated by vertical bars; separate them with tabs",
    ),
    (
        "JSON in a .csv",
        "w.csv",
        b'{"name":"x"}\n',
        "w.csv, line 1: holds JSON; for one JSON object a line name the file .jsonl",
    ),
    ("a JSON array", "w.json", b'\n[{"name":"x"}]', f"w.json, line 2: a JSON array; {JSONL}, as jq -c '.[]' does"),
    (
        "a JSON object over several lines",
        "w.jsonl",
        b'{\n  "name": "x"\n}\n',
        f"w.jsonl, line 1: a JSON object spread over several lines; {JSONL}, as jq -c . does",
    ),
    ("UTF-16", "w.csv", HEADER.encode("utf-16"), f"w.csv: is UTF-16 text; {UTF8}"),
    ("big-endian UTF-16", "w.csv", b"\xfe\xff" + HEADER.encode("utf-16-be"), f"w.csv: is UTF-16 text; {UTF8}"),
    ("UTF-32", "w.csv", HEADER.encode("utf-32"), f"w.csv: is UTF-32 text; {UTF8}"),
    (
        "UTF-16 without its mark",
        "w.csv",
        HEADER.encode("utf-16-le"),
        f"w.csv, line 1, column 2: a NUL byte: binary data, or UTF-16 text; {UTF8}",
    ),
    (
        "Latin-1 in the header",
        "w.csv",
        f"\n{HEADER},größe\n".encode("latin-1"),
        f"w.csv, line 2: byte 0xf6 at offset 49 of the file is not UTF-8 (Latin-1 or Windows-1252 text?); {UTF8}",
    ),
    (
        "gzip without .gz",
        "w.csv",
        gzip.compress(HEADER.encode()),
        "w.csv: is gzip data; give the file a name that ends in .gz, or pipe it through zcat",
    ),
    (
        "an Excel workbook",
        "w.csv",
        b"PK\x03\x04\x14\x00",
        "w.csv: is a zip archive or an Excel workbook; export the sheet as CSV UTF-8",
    ),
    (
        "an old Excel workbook",
        "w.csv",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "w.csv: is an old Excel workbook; export the sheet as CSV UTF-8",
    ),
    (
        "a quote open in the header",
        "w.csv",
        f'"{HEADER}\n{GOOD}\n'.encode(),
        f"w.csv, line 1: the double quote opened in line 1, column 1 is not closed; {TWICE}",
    ),
    ("an endless header", "w.csv", b"x" * 2**21, "w.csv, line 1: the line is longer than 1048576 bytes"),
    (
        "a .gz that is none",
        "w.csv.gz",
        HEADER.encode(),
        f"w.csv.gz, line 1: not sound gzip data (Not a gzipped file (b'na')); {GZIP}",
    ),
]


@pytest.mark.parametrize(("name", "data", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_file_is_refused_in_one_line_with_the_remedy(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FileRefused) as refused:
        read_file(tmp_path / name)
    assert str(refused.value) == message


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(FileRefused, match=r"^nowhere\.csv: not found; check the path$"):
        read_file(Path("nowhere.csv"))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r": is a directory; name a file in it$"):
        read_file(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.csv").touch(mode=0)
    with pytest.raises(FileRefused, match=r"^w\.csv: may not be read; check its permissions$"):
        read_file(tmp_path / "w.csv")


def test_a_path_that_leads_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.csv").symlink_to("w.csv")
    with pytest.raises(FileRefused, match=r"^w\.csv: cannot be opened: Too many levels of symbolic links$"):
        read_file(tmp_path / "w.csv")


def test_gzip_data_cut_off_is_refused_where_it_ends(tmp_path: Path) -> None:
    rows = "".join(f"{GOOD.replace('t1', f't{n}')}\n" for n in range(10_000))
    whole = gzip.compress(f"{HEADER}\n{rows}".encode())
    (tmp_path / "w.csv.gz").write_bytes(whole[: len(whole) // 2])
    rows = read_wishes(FileSource(tmp_path / "w.csv.gz", "w.csv.gz"), UPDATE)
    read: list[object] = []
    with pytest.raises(FileRefused, match=r"^w\.csv\.gz, line \d+: the gzip data is cut off here; fetch or compress"):
        read.extend(rows)  # a list keeps what came before the exception
    assert 0 < len(read) < 10_000
    assert all(isinstance(row, GoodRow) for row in read)


LINE_ENDS = {"LF": "\n", "CRLF": "\r\n", "CR": "\r"}


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["bare", "with a byte order mark"])
def test_any_line_end_and_a_byte_order_mark_are_taken(end: str, mark: bytes) -> None:
    rows = read(mark + end.join([HEADER, GOOD, "", GOOD]).encode())
    assert [(row.row, row.line) for row in rows if isinstance(row, GoodRow)] == [(1, 2), (2, 4)]


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_a_cell_with_line_ends_counts_as_the_lines_it_takes(end: str) -> None:
    override = f'"{{{end}""evaluatedConversationCountPerAgent"":{end}3}}"'
    text = end.join(
        ["scorecardTemplateName,overrideTaskCompleteConfig"]
        + [f"{PROFILE}/scorecardTemplates/s{n}@r1,{override}" for n in (1, 2)]
    )
    rows = read(text.encode(), kind=JobKind.QUOTA_RECALCULATION)
    assert [(row.row, row.line) for row in rows if isinstance(row, GoodRow)] == [(1, 2), (2, 5)]


SNIFFED = {
    "JSON lines": f'{{"name":"{PROFILE}/targets/t1","scorecardTemplateName":"{PROFILE}/scorecardTemplates/s1",'
    f'"usecaseName":"{PROFILE}/usecases/u1","target":80}}',
    "CSV": f"{HEADER}\n{GOOD}",
    "TSV": f"{HEADER}\n{GOOD}".replace(",", "\t"),
}


@pytest.mark.parametrize("name", ["stdin", "wishes.txt", "wishes.json", "2026.01/wishes"])
@pytest.mark.parametrize("text", SNIFFED.values(), ids=SNIFFED)
def test_without_a_known_suffix_the_first_line_tells_the_format(text: str, name: str) -> None:
    [row] = read(f"\n{text}\n".encode(), name)
    assert isinstance(row, GoodRow)


@pytest.mark.parametrize("suffix", [".gz", ".GZ"])
@pytest.mark.parametrize("text", SNIFFED.values(), ids=SNIFFED)
def test_a_gzip_file_is_read_as_what_it_holds(text: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"wishes{suffix}"
    path.write_bytes(gzip.compress(text.encode()))
    [row] = read_file(path)
    assert isinstance(row, GoodRow)


def test_a_name_that_is_no_text_is_shown_escaped() -> None:
    with pytest.raises(FileRefused, match=r"^nowhere\\udcff\\n\.csv: not found"):
        list(read_wishes(source_for("nowhere\udcff\n.csv", io.BytesIO()), UPDATE))


def test_an_empty_cell_states_the_whole_where_the_api_says_so_and_nothing_elsewhere() -> None:
    [row] = read(
        f"{HEADER},criterionOrChapterId,coachingPlanName,qaScore,asOf,requestKey,priority\n{GOOD},,,,,,".encode()
    )
    assert isinstance(row, GoodRow)
    assert isinstance(row.wish, TargetUpdate)
    assert (row.wish.criterion_or_chapter_id, row.wish.coaching_plan_name) == ("", "")
    assert row.wish.model_fields_set == {
        *("name", "scorecard_template_name", "usecase_name", "target"),
        *("criterion_or_chapter_id", "coaching_plan_name"),
    }


def test_a_column_that_is_not_there_states_nothing() -> None:
    [row] = read(f"{HEADER}\n{GOOD}".encode())
    assert isinstance(row, GoodRow)
    assert isinstance(row.wish, TargetUpdate)
    assert (row.wish.criterion_or_chapter_id, row.wish.coaching_plan_name) == (None, None)


def test_null_in_json_states_nothing_and_an_empty_string_is_stated() -> None:
    text = SNIFFED["JSON lines"].replace("}", ',"criterionOrChapterId":"","coachingPlanName":null}')
    [row] = read(text.encode())
    assert isinstance(row, GoodRow)
    assert isinstance(row.wish, TargetUpdate)
    assert (row.wish.criterion_or_chapter_id, row.wish.coaching_plan_name) == ("", None)


@pytest.mark.parametrize("path", sorted(DATA.glob("targets.*")), ids=lambda path: path.name)
def test_the_samples_of_target_updates_hold_the_same_wishes(path: Path) -> None:
    wishes = [row.wish for row in read_file(path) if isinstance(row, GoodRow)]
    expected = [row.wish for row in read_file(DATA / "targets.csv") if isinstance(row, GoodRow)]
    assert len(wishes) == 3
    assert wishes == expected


@pytest.mark.parametrize("path", sorted(DATA.glob("quotas.*")), ids=lambda path: path.name)
def test_the_samples_of_quotas_hold_the_same_wishes(path: Path) -> None:
    wishes = [row.wish for row in read_file(path, JobKind.QUOTA_RECALCULATION) if isinstance(row, GoodRow)]
    assert len(wishes) == 3
    assert wishes == [
        row.wish for row in read_file(DATA / "quotas.csv", JobKind.QUOTA_RECALCULATION) if isinstance(row, GoodRow)
    ]
    assert any(isinstance(wish, QuotaRecalculation) and wish.override_task_complete_config for wish in wishes)
