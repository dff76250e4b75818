"""The physical lines of a stream of bytes, in bounded memory. A line ends with LF, CRLF or CR."""

import gzip
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from worker.intake.source import FileRefused, Readable

MAX_LINE_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 16
_HEAD_BYTES = 1 << 12


class Line(NamedTuple):
    """``data`` keeps its line end; of a line that is too long (``cut``) it is the head. ``offset`` counts bytes."""

    number: int
    offset: int
    data: bytes
    cut: bool = False


class Lines:
    """Lines of which those read too far can be given back."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = iter(lines)
        self._returned: deque[Line] = deque()

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        return self._returned.popleft() if self._returned else next(self._lines)

    def give_back(self, lines: list[Line]) -> None:
        self._returned.extendleft(reversed(lines))


def read_lines(stream: Readable, name: str) -> Iterator[Line]:
    """Never holds more than one line and one block; of a line beyond ``MAX_LINE_BYTES`` the rest is read past."""
    number, offset, rest, passed = 1, 0, b"", 0
    while block := read_block(stream, _BLOCK_BYTES, name, number):
        pieces = (rest + block).splitlines(keepends=True)
        # a CR at the block's end may be half of a CRLF: it waits for the next block
        rest = b"" if pieces[-1].endswith(b"\n") else pieces.pop()
        for piece in pieces:
            if not passed:
                yield _line(number, offset, piece)
            number, offset, passed = number + 1, offset + passed + len(piece), 0
        if passed or len(rest) > MAX_LINE_BYTES:
            if not passed:
                yield _line(number, offset, rest)
            half_end = b"\r" if rest.endswith(b"\r") else b""
            passed, rest = passed + len(rest) - len(half_end), half_end
    if rest and not passed:
        yield _line(number, offset, rest)


def _line(number: int, offset: int, data: bytes) -> Line:
    if len(data) > MAX_LINE_BYTES:
        return Line(number, offset, data[:_HEAD_BYTES], cut=True)
    return Line(number, offset, data)


def read_block(stream: Readable, size: int, name: str, number: int) -> bytes:
    """Raises ``FileRefused``, with the line that it would go on with, where the stream breaks."""
    try:
        return stream.read(size)
    except gzip.BadGzipFile as error:
        remedy = "rename it without .gz, or compress it with gzip" if number == 1 else "fetch or compress it again"
        raise FileRefused(f"{name}, line {number}: not sound gzip data ({error}); {remedy}") from error
    except EOFError as error:
        raise FileRefused(
            f"{name}, line {number}: the gzip data is cut off here; fetch or compress it again"
        ) from error
    except zlib.error as error:
        raise FileRefused(f"{name}, line {number}: the gzip data is damaged; fetch or compress it again") from error
    except (OSError, ValueError) as error:
        raise FileRefused(f"{name}, line {number}: cannot be read any further: {error}") from error
