"""Files, pipes and the standard input: read in bounded memory, twice where that is asked, and never half changed."""

import gc
import io
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.jobs import JobKind
from worker.intake.lines import MAX_LINE_BYTES, read_lines
from worker.intake.readers import BadRow, GoodRow, first_pass, read_wishes
from worker.intake.source import FileRefused, FileSource, StreamSource, source_for, spool

PROFILE = "customers/acme/profiles/eu"
HEADER = b"name,scorecardTemplateName,usecaseName,target\n"
GOOD = f"{PROFILE}/targets/t1,{PROFILE}/scorecardTemplates/s1,{PROFILE}/usecases/u1,80\n".encode()
UPDATE = JobKind.TARGET_UPDATE


class Pieces:
    """A stream that makes its bytes as they are read, in pieces of any size."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _size: int = -1, /) -> bytes:
        return next(self._pieces, b"")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_lines_do_not_depend_on_how_the_bytes_arrive(size: int) -> None:
    data = b"\r\n" + b"a\r\rb\n\r\nc" + b"\n" * 3 + b"\xe2\x82\xac\r\n" + b"x" * 130 + b"\rlast\r"
    whole = list(read_lines(io.BytesIO(data), "w"))
    in_pieces = Pieces(data[start : start + size] for start in range(0, len(data), size))
    assert list(read_lines(in_pieces, "w")) == whole
    assert [line.data for line in whole] == data.splitlines(keepends=True)
    assert [line.number for line in whole] == list(range(1, len(whole) + 1))
    assert all(data[line.offset :].startswith(line.data) for line in whole)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("beyond", [0, 1, 65_536, 10 * 2**20])
def test_a_line_that_is_too_long_is_read_past_whatever_ends_it(end: bytes, beyond: int) -> None:
    length = MAX_LINE_BYTES - len(end) + beyond
    data = b"first" + end + b"x" * length + end + b"last" + end
    lines = list(read_lines(io.BytesIO(data), "w"))
    assert [line.cut for line in lines] == [False, beyond > 0, False]
    assert [line.number for line in lines] == [1, 2, 3]
    assert lines[2].data == b"last" + end
    assert lines[2].offset == len(data) - len(b"last" + end)


def test_the_end_of_a_line_that_is_too_long_may_come_in_two_halves() -> None:
    long = b"x" * (MAX_LINE_BYTES + 1)
    for blocks in ([long + b"\r", b"last"], [long + b"\r", b"\nlast"], [long, b"\r", b"\n", b"last"]):
        assert [line.data[-4:] for line in read_lines(Pieces(iter(blocks)), "w")] == [b"xxxx", b"last"]


def peak_memory(pieces: Iterator[bytes], kind: JobKind = UPDATE) -> int:
    tracemalloc.start()
    try:
        for _ in read_wishes(StreamSource(Pieces(pieces)), kind):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    def file(rows: int) -> Iterator[bytes]:
        yield HEADER
        yield from (GOOD * 50 for _ in range(rows // 50))

    assert peak_memory(file(4_000)) < peak_memory(file(500)) + 100_000


@pytest.mark.parametrize("head", [b"", b'"'], ids=["bare", "in a quote"])
def test_memory_does_not_grow_with_the_length_of_a_line(head: bytes) -> None:
    def file() -> Iterator[bytes]:
        yield HEADER + head
        yield from (b"x" * 65_536 for _ in range(512))  # 32 MiB in one line
        yield b"\n" + GOOD

    assert peak_memory(file()) < 6 * MAX_LINE_BYTES


@pytest.mark.parametrize("line", [b"", b'","'], ids=["one cell", "a cell a line"])
def test_memory_does_not_grow_with_the_lines_that_a_stray_quote_swallows(line: bytes) -> None:
    def file() -> Iterator[bytes]:
        yield b'scorecardTemplateName,overrideTaskCompleteConfig\n"'
        yield from (line + b"x" * 10_000 + b"\n" for _ in range(1_000))

    assert peak_memory(file(), JobKind.QUOTA_RECALCULATION) < 8 * MAX_LINE_BYTES


def test_the_standard_input_is_read_as_it_comes() -> None:
    source = source_for("-", io.BytesIO(HEADER + GOOD))
    assert source.name == "stdin"
    assert [type(row) for row in read_wishes(source, UPDATE)] == [GoodRow]


def written(tmp_path: Path, data: bytes) -> FileSource:
    (tmp_path / "w.csv").write_bytes(data)
    return FileSource(tmp_path / "w.csv", "w.csv")


def test_a_first_pass_counts_all_rows_and_keeps_the_first_errors(tmp_path: Path) -> None:
    tally = first_pass(written(tmp_path, HEADER + (GOOD + b"wrong\n") * 30), UPDATE)
    assert (tally.rows, tally.bad) == (60, 30)
    assert [row.row for row in tally.first_errors] == list(range(2, 21, 2))
    assert all(isinstance(row, BadRow) for row in tally.first_errors)


def test_a_second_pass_reads_a_file_that_is_as_it_was(tmp_path: Path) -> None:
    source = written(tmp_path, HEADER + GOOD)
    assert len(list(read_wishes(source, UPDATE, first_pass(source, UPDATE).seen))) == 1


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(GOOD)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    status = path.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


def overwrite(path: Path) -> None:
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b"80", b"08"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [append, replace, overwrite])
def test_a_file_that_changed_between_the_passes_is_refused_before_the_first_row(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    source = written(tmp_path, HEADER + GOOD)
    tally = first_pass(source, UPDATE)
    change(source.path)
    with pytest.raises(FileRefused, match=r"^w\.csv: has changed since it was first read; start again when nobody"):
        next(read_wishes(source, UPDATE, tally.seen))


def test_a_file_that_changes_under_the_second_pass_is_refused_at_its_end(tmp_path: Path) -> None:
    source = written(tmp_path, HEADER + GOOD * 3)
    rows = read_wishes(source, UPDATE, first_pass(source, UPDATE).seen)
    next(rows)
    append(source.path)
    with pytest.raises(FileRefused, match="has changed since it was first read"):
        list(rows)


def test_a_spooled_stream_can_be_read_twice_and_leaves_nothing_behind() -> None:
    with spool(StreamSource(io.BytesIO(HEADER + GOOD))) as copy:
        tally = first_pass(copy, UPDATE)
        assert len(list(read_wishes(copy, UPDATE, tally.seen))) == tally.rows == 1
        assert copy.name == "stdin"
    assert not copy.path.exists()


def test_a_regular_file_is_not_copied(tmp_path: Path) -> None:
    source = written(tmp_path, HEADER + GOOD)
    with spool(source) as copy:
        assert copy is source
    assert source.path.exists()


def test_a_named_pipe_is_spooled_as_the_standard_input_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(HEADER + GOOD,))
    writer.start()
    with spool(FileSource(pipe, "pipe")) as copy:
        assert first_pass(copy, UPDATE).rows == 1
    writer.join(10)


def test_a_source_that_is_not_there_cannot_be_spooled() -> None:
    with pytest.raises(FileRefused, match=r"^nowhere\.csv: not found"), spool(source_for("nowhere.csv", io.BytesIO())):
        pass


def test_a_copy_that_cannot_be_written_is_refused_with_the_remedy() -> None:
    class Broken:
        def read(self, _size: int = -1, /) -> bytes:
            raise OSError(28, "No space left on device")

    with (
        pytest.raises(
            FileRefused, match=r"^stdin: cannot be copied .*: No space left on device; check the space there"
        ),
        spool(StreamSource(Broken())),
    ):
        pass


def test_a_stream_that_breaks_is_refused_where_it_breaks() -> None:
    def file() -> Iterator[bytes]:
        yield HEADER + GOOD
        raise OSError(5, "Input/output error")

    rows = read_wishes(StreamSource(Pieces(file())), UPDATE)
    assert isinstance(next(rows), GoodRow)
    with pytest.raises(FileRefused, match=r"^stdin, line 3: cannot be read any further: .*Input/output error$"):
        next(rows)


def test_an_iteration_that_is_given_up_closes_its_file(tmp_path: Path) -> None:
    """An unclosed file would be a ResourceWarning, which fails the test run."""
    rows = read_wishes(written(tmp_path, HEADER + GOOD * 3), UPDATE)
    next(rows)
    del rows
    gc.collect()
