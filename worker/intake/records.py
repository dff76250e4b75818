"""The rows of a file in any of the formats, each with its fields by our names or with its errors."""

from collections.abc import Iterator
from itertools import chain

from worker.intake.delimited import delimited_records
from worker.intake.encoding import BOM, refuse_foreign
from worker.intake.format import Format, format_of
from worker.intake.jsonl import jsonl_records
from worker.intake.lines import Line, read_lines
from worker.intake.record import Record
from worker.intake.source import FileRefused, Readable
from worker.intake.spellings import Spellings


def records_of(stream: Readable, name: str, known: Spellings, form: Format | None = None) -> Iterator[Record]:
    """Raises ``FileRefused`` at the first step if the file cannot be read, later only where it breaks on the way."""
    lines = read_lines(stream, name)
    first = first_line(lines, name)
    refuse_foreign(first, name)
    match format_of(first, name, form):
        case Format.JSONL:
            return jsonl_records(chain([first], lines), known)
        case Format.TSV:
            return delimited_records(chain([first], lines), name, known, "\t")
        case Format.CSV:
            return delimited_records(chain([first], lines), name, known, ",")


def first_line(lines: Iterator[Line], name: str) -> Line:
    """The first that is not blank, without the mark that some editors put before UTF-8."""
    for line in lines:
        first = line
        if line.number == 1 and line.data.startswith(BOM):
            first = line._replace(offset=len(BOM), data=line.data.removeprefix(BOM))
        if first.data.strip():
            return first
    raise FileRefused(f"{name}: is empty")
