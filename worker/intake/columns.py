"""The header of a CSV or TSV file: checked once, it says how every row becomes fields."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from worker.counts import counted
from worker.intake.json_text import BrokenJson, parse_json
from worker.intake.printable import printable
from worker.intake.record import Fields
from worker.intake.row_errors import FieldError, value_text
from worker.intake.source import FileRefused
from worker.intake.spellings import Spellings, nearest

JSON_CELLS = frozenset({"overrideTaskCompleteConfig"})
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_MOST_PROBLEMS = 5
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Columns:
    """The field's name of each column, empty where nobody reads it; whether each cell is its field as it stands."""

    fields: tuple[str, ...]
    plain: bool
    stated_when_empty: frozenset[str]

    @property
    def may_span_lines(self) -> bool:
        """Only JSON may hold a line end: without it, a quote open at a line's end is a mistake of that line."""
        return any(field in JSON_CELLS for field in self.fields)

    def read(self, cells: Sequence[str]) -> Fields | tuple[FieldError, ...]:
        if len(cells) != len(self.fields):
            return (FieldError("", _wrong_count(len(cells), len(self.fields))),)
        row: Fields = dict(zip(self.fields, cells, strict=True))
        row.pop("", None)
        if "" in cells:
            row = {field: cell for field, cell in row.items() if cell != "" or field in self.stated_when_empty}
        return row if self.plain else _unfold(row)


def columns_of(header: Sequence[str], known: Spellings, where: str, delimiter: str) -> Columns:
    """Raise ``FileRefused``, with all that is wrong in one line, unless each column is a field and none is missing."""
    if len(header) == 1 and (remedy := _other_format(header[0], delimiter)):
        raise FileRefused(f"{where}: {remedy}")
    if _is_a_row(header, known):
        names = ", ".join(map(known.shown, known.required))
        raise FileRefused(f"{where}: looks like a row: put the header line before it, with at least {names}")
    problems = list(islice(_problems(header, known), _MOST_PROBLEMS + 1))
    if len(problems) > _MOST_PROBLEMS:
        problems[_MOST_PROBLEMS:] = ["and more"]
    if problems and (command := _other_command(header, known)):
        foreign = any(name not in known.columns for name in header)
        problems = [*([] if foreign else problems), f"did you mean `{command}`, which has these columns?"]
    if problems:
        raise FileRefused(f"{where}: {'; '.join(problems)}")
    fields = tuple(known.columns.get(name, "") for name in header)
    plain = not any("." in field or field in JSON_CELLS for field in fields)
    return Columns(fields, plain=plain, stated_when_empty=known.stated_when_empty)


def _problems(header: Sequence[str], known: Spellings) -> Iterator[str]:
    columns: dict[str, int] = {}
    for number, name in enumerate(header, 1):
        field = known.columns.get(name)
        if field is None and known.passes_over(name, header):
            continue
        if not name.strip():
            yield f"column {number} has no name; name it or remove it"
        elif field is None:
            yield f'column {number}, "{printable(name, 80)}", is unknown{nearest(name, known.columns)}'
        elif field in columns:
            yield f'columns {columns[field]} and {number} are both "{field}"; remove one'
        else:
            columns[field] = number
    missing = [known.shown(field) for field in known.required if field not in columns]
    if missing:
        yield f"missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"


def _is_a_row(header: Sequence[str], known: Spellings) -> bool:
    """No column is known, and a cell holds what no column is called: a resource's name, a number."""
    unknown = not any(name in known.columns for name in header)
    return unknown and any(name.startswith("customers/") or _NUMBER.fullmatch(name) for name in header)


def _other_command(header: Sequence[str], known: Spellings) -> str:
    fitting = (command for command, columns in known.instead.items() if not any(_problems(header, columns)))
    return next(fitting, "")


def _other_format(header: str, delimiter: str) -> str:
    if header.lstrip().startswith("{"):
        return "holds JSON; for one JSON object a line name the file .jsonl"
    for separator, name in _SEPARATORS.items():
        if separator in header:
            remedy = "name the file .tsv" if separator == "\t" else f"separate them with {_SEPARATORS[delimiter]}"
            if separator == "," and delimiter == "\t":
                remedy = "name the file .csv"
            return f"the columns are separated by {name}; {remedy}"
    return ""


def _wrong_count(cells: int, columns: int) -> str:
    wrong = f"{counted(cells, 'cell')}, but the header has {counted(columns, 'column')}"
    if cells < columns:
        return wrong
    return f"{wrong}; quote a cell that holds the separator"


def _unfold(row: Fields) -> Fields | tuple[FieldError, ...]:
    """Dotted columns become nested fields, JSON cells what they say."""
    unfolded: Fields = {}
    nested: dict[str, Fields] = {}
    for field, cell in row.items():
        outer, _, inner = field.partition(".")
        if inner:
            nested.setdefault(outer, {})[inner] = cell
        elif field in JSON_CELLS:
            try:
                unfolded[field] = parse_json(str(cell))
            except BrokenJson as broken:
                return (FieldError(field, str(broken), value_text(cell)),)
        else:
            unfolded[field] = cell
    unfolded.update(nested)
    return unfolded
