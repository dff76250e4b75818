"""What was measured, as values: columns, and for each row the figures of all rounds. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

OURS = "coachsync"


class Better(StrEnum):
    """In which direction a column is compared with ours."""

    MORE = "more"
    LESS = "less"


@dataclass(frozen=True, slots=True)
class Column:
    """``digits`` after the point; ``share``: a percentage; ``better`` where a ratio to ours makes sense."""

    name: str
    digits: int = 0
    better: Better | None = None
    share: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """``rounds`` by a column's name, in the order of the rounds; ``note`` says what a reader must know of it."""

    name: str
    rounds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One workload under one setting. ``ours`` is the row that the others are set against, if there are others."""

    key: str
    title: str
    setting: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    ours: str | None = OURS

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        columns = [Column(**one) for one in given["columns"]]
        return cls(**{**given, "columns": columns, "rows": [Row(**one) for one in given["rows"]]})


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    least: float
    most: float


def spread(figures: Sequence[float]) -> Spread | None:
    return Spread(statistics.median(figures), min(figures), max(figures)) if figures else None


def how_many_times_better(table: Table, row: Row, column: Column) -> Spread | None:
    """Ours beside this row, round by round, so that a machine that slows down slows both: above 1 we are better."""
    ours = next((one for one in table.rows if one.name == table.ours), None)
    if ours is None or row is ours or column.better is None:
        return None
    pairs = zip(ours.rounds.get(column.name, ()), row.rounds.get(column.name, ()), strict=False)
    ratios = [
        mine / theirs if column.better is Better.MORE else theirs / mine for mine, theirs in pairs if mine and theirs
    ]
    return spread(ratios)


def gathered(names: Sequence[str], rounds: Sequence[Mapping[str, Mapping[str, float]]]) -> list[Row]:
    """Rows of these names, of rounds that each say ``{name: {column: figure}}``."""
    rows = []
    for name in names:
        mine = [one[name] for one in rounds if name in one]
        columns = dict.fromkeys(column for one in mine for column in one)
        rows.append(Row(name, {column: [one[column] for one in mine if column in one] for column in columns}))
    return rows
