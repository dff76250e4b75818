"""CSV and TSV: a header that names the columns, then one row after the other, each good or bad for itself."""

from collections.abc import Iterator
from typing import NamedTuple

from worker.intake.columns import columns_of
from worker.intake.encoding import text_of
from worker.intake.lines import Line, Lines
from worker.intake.quoting import OpenRow, cells_of_line
from worker.intake.record import Record
from worker.intake.row_errors import FieldError
from worker.intake.source import FileRefused
from worker.intake.spellings import Spellings


class _Row(NamedTuple):
    line: int
    text: str
    cells: list[str] | FieldError


def delimited_records(lines: Iterator[Line], name: str, known: Spellings, delimiter: str) -> Iterator[Record]:
    source = Lines(lines)
    header = next(_rows(source, delimiter, may_span_lines=False))
    where = f"{name}, line {header.line}"
    if isinstance(header.cells, FieldError):
        raise FileRefused(f"{where}: {header.cells.reason}")
    columns = columns_of(header.cells, known, where, delimiter)
    for line, text, cells in _rows(source, delimiter, may_span_lines=columns.may_span_lines):
        yield Record(line, text, (cells,) if isinstance(cells, FieldError) else columns.read(cells))


def _rows(lines: Lines, delimiter: str, *, may_span_lines: bool) -> Iterator[_Row]:
    """A row whose quote is never closed is bad by its first line alone; the lines after it are read again, as rows.

    Lines before ``settled`` were already read as the inside of a quote that led nowhere. A row that begins among them
    and goes on past its line would be led to the same place: it is bad at once, and reading stays linear.
    """
    settled = 0
    for line in lines:
        text = text_of(line)
        if isinstance(text, FieldError):
            yield _Row(line.number, line.data.decode(errors="backslashreplace"), text)
        elif '"' in text:
            cells = cells_of_line(text, delimiter)
            if cells is None:
                row = OpenRow(line, text, delimiter)
                goes_on = may_span_lines and line.number >= settled
                cells = row.read(lines) if goes_on else row.never_closed()
                settled = max(settled, row.last)
                text = text if isinstance(cells, FieldError) else row.text
            yield _Row(line.number, text, cells)
        elif text.strip(" \r\n"):
            yield _Row(line.number, text, text.rstrip("\r\n").split(delimiter))
