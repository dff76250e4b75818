"""The file of rejected rows is there only if something was rejected, whole, and harmless to open."""

import csv
import io
import os
from pathlib import Path

import pytest

from worker.intake.readers import BadRow
from worker.intake.rejected_file import RejectedFile, rejected_path
from worker.intake.row_errors import FieldError
from worker.intake.source import FileRefused, FileSource, StreamSource

BAD = BadRow(2, 3, (FieldError("target", "101 is outside 0 to 100 (percent)", "101"),), "t1,101")


def cells(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))


def test_each_error_of_a_rejected_row_is_one_line(tmp_path: Path) -> None:
    two = BadRow(3, 4, (FieldError("", "too few cells"), FieldError("name", "no name", "ü")), "ü")
    with RejectedFile(tmp_path / "w.csv.rejected.csv") as rejected:
        rejected.write(BAD)
        rejected.write(two)
    assert cells(rejected.path) == [
        ["line", "row", "field", "reason", "value", "raw"],
        ["3", "2", "target", "101 is outside 0 to 100 (percent)", "101", "t1,101"],
        ["4", "3", "", "too few cells", "", "ü"],
        ["4", "3", "name", "no name", "ü", "ü"],
    ]


def test_without_a_rejection_there_is_no_file(tmp_path: Path) -> None:
    with RejectedFile(tmp_path / "w.csv.rejected.csv") as rejected:
        rejected.check_writable()
    assert list(tmp_path.iterdir()) == []


def test_the_file_appears_whole_at_the_end_in_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "w.csv.rejected.csv"
    path.write_text("of an earlier run")
    with RejectedFile(path) as rejected:
        rejected.write(BAD)
        assert path.read_text() == "of an earlier run"
    assert len(cells(path)) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_dies_leaves_what_it_had_under_another_name(tmp_path: Path) -> None:
    def run() -> None:
        with RejectedFile(tmp_path / "w.csv.rejected.csv") as rejected:
            rejected.write(BAD)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert [path.name for path in tmp_path.iterdir()] == [f"w.csv.rejected.csv.{os.getpid()}.partial"]
    assert len(cells(next(tmp_path.iterdir()))) == 2


@pytest.mark.parametrize("start", "=+-@")
def test_a_cell_that_a_spreadsheet_would_run_is_text(start: str, tmp_path: Path) -> None:
    formula = f"{start}cmd|' /C calc'!A0"
    with RejectedFile(tmp_path / "rejected.csv") as rejected:
        rejected.write(BadRow(1, 1, (FieldError(formula, "unknown field", formula),), formula))
    _, [*_, field, _, value, raw] = cells(rejected.path)
    assert field == value == raw == f"'{formula}"


@pytest.mark.parametrize("text", ["\ud800", "\t=1", "\r\n", "\x1b[2J", "\u202e"])
def test_text_that_is_not_printable_is_written_escaped(text: str, tmp_path: Path) -> None:
    with RejectedFile(tmp_path / "rejected.csv") as rejected:
        rejected.write(BadRow(1, 1, (FieldError("", "no text", text),), text))
    _, [*_, value, raw] = cells(rejected.path)
    assert value == raw == text.encode("unicode_escape").decode()


def test_the_file_stands_beside_the_file_of_wishes(tmp_path: Path) -> None:
    wishes = tmp_path / "w.csv.gz"
    wishes.touch()
    path = rejected_path(FileSource(wishes, "w.csv.gz"), tmp_path / "elsewhere")
    assert path == tmp_path / "w.csv.gz.rejected.csv"


def test_what_has_no_place_of_its_own_is_rejected_into_the_given_directory(tmp_path: Path) -> None:
    pipe = tmp_path / "fd63"
    os.mkfifo(pipe)
    assert rejected_path(StreamSource(io.BytesIO()), tmp_path / "here") == tmp_path / "here/stdin.rejected.csv"
    assert rejected_path(FileSource(pipe, str(pipe)), tmp_path / "here") == tmp_path / "here/fd63.rejected.csv"


@pytest.mark.parametrize("place", ["no/such/directory/rejected.csv", "x" * 300])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_accepted(place: str, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"rejected rows cannot be written: .*; put the file of wishes where you may"):
        RejectedFile(tmp_path / place).check_writable()


def test_a_directory_of_the_files_name_is_told_before_anything_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="is a directory; the rejected rows would go to a file of this name"):
        RejectedFile(tmp_path).check_writable()


def test_a_directory_that_goes_away_on_the_way_is_told_with_the_path(tmp_path: Path) -> None:
    with (
        RejectedFile(tmp_path / "gone/rejected.csv") as rejected,
        pytest.raises(FileRefused, match=r"gone/rejected\.csv: the rejected rows cannot be written: No such file"),
    ):
        rejected.write(BAD)
