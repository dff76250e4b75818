"""Quoted cells of CSV and TSV (RFC 4180), read strictly; a quoted cell may hold line ends."""

import csv
import re
from collections.abc import Iterator, Sequence

from worker.intake.encoding import text_of
from worker.intake.lines import MAX_LINE_BYTES, Line, Lines
from worker.intake.row_errors import FieldError

_QUOTED_CELL = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')
_CELL_END = {delimiter: re.compile(f"[{delimiter}\r\n]") for delimiter in (",", "\t")}
_TWICE = "write a double quote inside a cell as two"


def cells_of_line(text: str, delimiter: str) -> list[str] | FieldError | None:
    """The cells of a row that ends on its line; ``None`` if a quoted cell goes on in the next."""
    try:
        return next(csv.reader((text,), delimiter=delimiter, strict=True))
    except csv.Error as error:
        if _open_quote(text, delimiter) is not None:
            return None
        if "limit" in str(error):
            return FieldError("", f"a cell is longer than {csv.field_size_limit()} characters")
        return FieldError("", f"text follows the closing quote of a cell; {_TWICE}")


class OpenRow:
    """A row that goes on in the next lines. If its quote leads nowhere, the lines it took are given back.

    ``last`` is the number of the last line looked at.
    """

    def __init__(self, first: Line, text: str, delimiter: str) -> None:
        self._first = first.number
        self._texts = [text]
        self._taken: list[Line] = []
        self._delimiter = delimiter

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def last(self) -> int:
        return self._first + len(self._taken)

    def read(self, lines: Lines) -> list[str] | FieldError:
        try:
            return next(csv.reader(self._take(lines), delimiter=self._delimiter, strict=True))
        except csv.Error:
            lines.give_back(self._taken)
            return self.never_closed()

    def never_closed(self) -> FieldError:
        line, column = self._place_of_quote()
        return FieldError("", f"the double quote opened in line {line}, column {column} is not closed; {_TWICE}")

    def _take(self, lines: Lines) -> Iterator[str]:
        yield self._texts[0]
        size = len(self._texts[0])
        for line in lines:
            text = text_of(line)
            if isinstance(text, FieldError) or size + len(text) > MAX_LINE_BYTES:
                lines.give_back([line])
                return
            size += len(text)
            self._taken.append(line)
            self._texts.append(text)
            yield text

    def _place_of_quote(self) -> tuple[int, int]:
        """Of the quote still open after all lines taken, or, where a later one closed it by chance, after the first."""
        offset = _open_quote(self.text, self._delimiter)
        if offset is None:
            offset = _open_quote(self._texts[0], self._delimiter) or 0
        return _place(self._texts, offset, self._first)


def _place(texts: Sequence[str], offset: int, first: int) -> tuple[int, int]:
    """The line and column of an offset in the texts of consecutive lines."""
    index = 0
    while offset >= len(texts[index]):
        offset -= len(texts[index])
        index += 1
    return first + index, offset + 1


def _open_quote(text: str, delimiter: str) -> int | None:
    """Where the quote stands that is still open at the end; a quote opens a cell only at the cell's start."""
    start = 0
    while start < len(text):
        if text[start] == '"':
            quoted = _QUOTED_CELL.match(text, start)
            if not quoted:
                return start
            start = quoted.end()
        end = _CELL_END[delimiter].search(text, start)
        if not end:
            return None
        start = end.end()
    return None
