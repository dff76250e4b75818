"""Reading a file of wishes, row by row, in bounded memory.

Nothing here is written or accepted. A row that is wrong comes out as a ``BadRow`` and reading goes on; a file that
cannot be read at all raises ``FileRefused``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from schemas.jobs import JobKind, QuotaRecalculation, TargetUpdate, Wish
from worker.core.acceptance import Seen
from worker.intake.format import Format
from worker.intake.jsonl import fields_of, plain_names
from worker.intake.printable import printable
from worker.intake.record import Fields
from worker.intake.records import records_of
from worker.intake.row_errors import FieldError, errors_of, value_text
from worker.intake.source import FileRefused, FileSource, Fingerprint, Source, fingerprint, opened
from worker.intake.wish_fields import wish_fields

MAX_RAW_CHARACTERS = 1000
_FIRST_ERRORS = 10
_VALIDATE: Mapping[JobKind, Callable[[Fields], Wish]] = {
    JobKind.TARGET_UPDATE: TypeAdapter(TargetUpdate).validate_python,
    JobKind.QUOTA_RECALCULATION: TypeAdapter(QuotaRecalculation).validate_python,
}


@dataclass(frozen=True, slots=True)
class GoodRow:
    """``row`` counts the file's data rows from 1; ``line`` is the physical line where the row starts.

    ``seen``: of a plan's row, what the plan saw. ``text``: as the file has it, trimmed.
    """

    row: int
    line: int
    wish: Wish
    seen: Seen | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """``raw`` is the row as the file has it, printable and trimmed."""

    row: int
    line: int
    errors: tuple[FieldError, ...]
    raw: str


Row = GoodRow | BadRow


@dataclass(frozen=True, slots=True)
class Tally:
    """What a first pass has found. ``seen`` holds the second pass to the same file."""

    rows: int
    bad: int
    first_errors: tuple[BadRow, ...]
    seen: Fingerprint


def read_wishes(
    source: Source, kind: JobKind, unchanged_since: Fingerprint | None = None, *, form: Format | None = None
) -> Iterator[Row]:
    """Raises ``FileRefused`` at the first step if the file cannot be read, later only where it breaks on the way.

    ``form`` where it is known; else the source's name tells it, or its first line.
    """
    validate = _VALIDATE[kind]
    row = 0
    with opened(source, unchanged_since) as stream:
        records = records_of(stream, source.name, wish_fields(kind), form)
        for row, (line, text, content) in enumerate(records, 1):
            if isinstance(content, tuple):
                yield BadRow(row, line, content, raw_of(text))
                continue
            try:
                good = GoodRow(row, line, validate(content), text=text.rstrip("\r\n")[: MAX_RAW_CHARACTERS + 1])
            except ValidationError as refusal:
                yield BadRow(row, line, errors_of(refusal, content), raw_of(text))
            else:
                yield good
    if not row:
        raise FileRefused(f"{source.name}: holds no rows")


def read_objects(values: Iterable[object], kind: JobKind) -> Iterator[Row]:
    """Rows that have been parsed already, as an array of JSON has them. They have no lines: each has its number."""
    validate, known = _VALIDATE[kind], wish_fields(kind)
    names = plain_names(known)
    for row, value in enumerate(values, 1):
        content = fields_of(value, known, names)
        if isinstance(content, tuple):
            yield BadRow(row, row, content, value_text(value))
            continue
        try:
            good = GoodRow(row, row, validate(content))
        except ValidationError as refusal:
            yield BadRow(row, row, errors_of(refusal, content), value_text(value))
        else:
            yield good


def first_pass(source: FileSource, kind: JobKind, check: Callable[[Row], Row] = lambda row: row) -> Tally:
    """Reads everything and changes nothing, so that a caller can refuse the whole file for one bad row.

    ``check`` may turn a good row into a bad one, by what the caller knows beside the file.
    """
    seen = fingerprint(source)
    rows, bad, first_errors = 0, 0, list[BadRow]()
    for row in map(check, read_wishes(source, kind, seen)):
        rows += 1
        if isinstance(row, BadRow):
            bad += 1
            if bad <= _FIRST_ERRORS:
                first_errors.append(row)
    return Tally(rows, bad, tuple(first_errors), seen)


def raw_of(text: str) -> str:
    return printable(text.rstrip("\r\n"), MAX_RAW_CHARACTERS)
