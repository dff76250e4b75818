"""A file of the roster's events: what is wrong is named by line and field, and then nothing of it is taken."""

import gzip
import io
import json
from pathlib import Path

import pytest

from tests.integration.roster_rig import told, told_all
from worker.intake import event_files
from worker.intake.event_files import EventFile, read_events
from worker.intake.roster_events import MOST_EVENTS, EventError, EventsRefused
from worker.intake.source import FileRefused, FileSource, StreamSource

GOOD = told("joined", "ann", id_="1")


def lines(*events: object) -> str:
    return "".join(json.dumps(one) + "\n" for one in events)


def read(content: str | bytes, name: str = "events.jsonl") -> EventFile:
    data = content.encode() if isinstance(content, str) else content
    return read_events(StreamSource(io.BytesIO(data), name))


def words(found: EventFile) -> list[tuple[int, str]]:
    return [(bad.line, f"{error.field or 'row'}: {error.reason}") for bad in found.bad for error in bad.errors]


def test_each_line_is_an_event_and_blank_ones_are_none() -> None:
    found = read("\n" + lines(GOOD) + "\n  \n" + lines(told_all(["bob"], id_="2")).rstrip())
    assert [event.id for event in found.events] == ["1", "2"]
    assert (found.lines, found.rows, found.bad) == ((2, 5), 2, ())


def test_a_compressed_file_is_unzipped_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(lines(GOOD).encode()))
    assert len(read_events(FileSource(path, str(path))).events) == 1
    path.write_bytes(gzip.compress(lines(*[GOOD] * 500).encode())[:-20])
    with pytest.raises(FileRefused, match="the gzip data is cut off here"):
        read_events(FileSource(path, str(path)))


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("", "e.jsonl", "e.jsonl: is empty"),
        ("agent,groups\nann,x\n", "e.csv", "e.csv: events are read as JSON lines; write one a line and name the file"),
        ("agent,groups\n", "stdin", "stdin: events are read as JSON lines"),
        (lines([GOOD]), "e.jsonl", "e.jsonl, line 1: a JSON array; write one JSON object a line"),
        ("{\n", "e.json", "e.json, line 1: a JSON object spread over several lines"),
        (lines(GOOD).encode("utf-16"), "e.jsonl", "e.jsonl: is UTF-16 text"),
    ],
)
def test_a_file_that_holds_no_events_is_refused_in_one_line(content: str | bytes, name: str, said: str) -> None:
    with pytest.raises(FileRefused) as refused:
        read(content, name)
    assert str(refused.value).startswith(said)


WRONG: list[tuple[str | bytes, str]] = [
    ('{"specversion": "1.0"', "row: not valid JSON at column 22"),
    ("ann joined", "row: not valid JSON at column 1"),
    ("[]", "row: an event is one JSON object"),
    ("{}", "type: required, but nothing is given"),
    (b'{"id": "\xff"}', "row: byte 0xff at offset "),
    (b'{"id": "\x01"}', "row: control character 0x01 at column 9"),
    (b'"' + b"x" * (1 << 20) + b'"', "row: the line is longer than 1048576 bytes"),
    (json.dumps(GOOD | {"time": "yesterday"}), "time: 'yesterday' is no RFC 3339 time"),
    (json.dumps(told("joined", "ann", usecases=["voice"])), "data.usecases[0]: 'voice' is no usecase name"),
    (json.dumps(told("changed", "ann")), "data: a change without groups, usecases, coachingPlanName and joinedAt"),
    (
        json.dumps(GOOD | {"type": "coaching.roster.agent.promoted"}),
        "type: must be one of coaching.roster.agent.joined",
    ),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_wrong_line_is_named_by_line_and_field(wrong: str | bytes, said: str) -> None:
    data = wrong.encode() if isinstance(wrong, str) else wrong
    found = read(lines(GOOD).encode() + data + b"\n" + lines(told("left", "bob")).encode())
    ((at, told_),) = words(found)
    assert at == 2
    assert told_.startswith(said)
    assert found.rows == 3


def test_what_the_door_refuses_is_named_by_line_too() -> None:
    found = read("\n" + lines(GOOD, told("left", "bob")))
    (bad,) = found.refused_rows(EventsRefused([EventError(1, "time", "lies in the future")]))
    assert (bad.row, bad.line, bad.errors[0].field) == (2, 3, "time")


def test_more_than_are_taken_at_once_are_refused() -> None:
    """The same event again and again: told once is enough for the door, and not for the file."""
    with pytest.raises(FileRefused, match="holds more than 100,000 events; split it"):
        read(lines(told("left", "ann")) * (MOST_EVENTS + 1))


def test_of_a_file_that_is_all_wrong_only_so_much_is_read() -> None:
    assert read("{}\n" * (event_files.MOST_BAD + 5)).rows == event_files.MOST_BAD
