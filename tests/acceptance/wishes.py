"""Files of wishes as a producer writes them, and what is to come of them: the newest wish of each target."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from api_adapter.sandbox.seed import sample_targets
from api_adapter.sandbox.targets import Target
from schemas.instants import format_instant
from schemas.jobs import TargetUpdate
from tests.acceptance.installation import TARGETS

COLUMNS = (
    "name", "scorecardTemplateName", "usecaseName", "criterionOrChapterId", "coachingPlanName", "target", "asOf",
)  # fmt: skip
INVALID = ("101", "eighty", "", "-1", "NaN")
_LAST_NIGHT = datetime(2026, 1, 31, tzinfo=UTC)
_GOLDEN = 0.6180339887


@dataclass(frozen=True, slots=True)
class Row:
    target: int
    value: str
    as_of: datetime

    @property
    def valid(self) -> bool:
        return self.value not in INVALID


@dataclass(frozen=True, slots=True)
class WishFile:
    """``rows`` in no order: each target's newest wish may stand anywhere among its older ones."""

    rows: tuple[Row, ...]

    @property
    def invalid(self) -> int:
        return sum(not row.valid for row in self.rows)

    @property
    def text(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        writer.writerows(_cells(target_of(row.target), row) for row in self.rows)
        return out.getvalue()


def wishes_by_target(files: Iterable[WishFile]) -> dict[str, list[float]]:
    """The values asked for each target, oldest wish first: with the last one it is to end."""
    valid = [row for file in files for row in file.rows if row.valid]
    asked = defaultdict[str, list[float]](list)
    for row in sorted(valid, key=lambda row: row.as_of):
        asked[target_of(row.target).name].append(float(row.value))
    return asked


def nightly_file(rows: int, base: int = 0) -> WishFile:
    """A tenth of the rows is newer than another row of the same target, a twentieth is older, 50 are wrong.

    ``base`` is the first target's number.
    """
    duplicates, stale, invalid = rows // 10, rows // 20, min(50, rows // 10)
    first = rows - duplicates - stale - invalid
    wishes = [
        *(Row(number, _value(number), _at(1, number)) for number in range(first)),
        *(Row(number * 5 % first, _value(number + 7), _at(2, number)) for number in range(duplicates)),
        *(Row(number * 7 % first, _value(number + 11), _at(0, number)) for number in range(stale)),
        *(Row(number, INVALID[number % len(INVALID)], _at(3, number)) for number in range(invalid)),
    ]
    shuffled = (wishes[place] for place in _shuffled(len(wishes)))
    return WishFile(tuple(replace(row, target=base + row.target) for row in shuffled))


def correction_file(numbers: Sequence[int]) -> WishFile:
    """Newer wishes for targets that a nightly file is about."""
    return WishFile(tuple(Row(number, _value(number + 13), _at(4, number)) for number in numbers))


def wrong_file(numbers: Sequence[int]) -> WishFile:
    """Newest wishes, all alike, for targets that somebody else has meant otherwise."""
    return WishFile(tuple(Row(number, "77.75", _at(5, number)) for number in numbers))


def wish(number: int, value: float) -> TargetUpdate:
    target = target_of(number)
    return TargetUpdate(
        name=target.name,
        scorecard_template_name=target.scorecard_template_name,
        usecase_name=target.usecase_name,
        criterion_or_chapter_id=target.criterion_or_chapter_id,
        coaching_plan_name=target.coaching_plan_name,
        target=value,
    )


def target_of(number: int) -> Target:
    return sample_targets("acme", TARGETS)[number]


def _cells(target: Target, row: Row) -> list[str]:
    return [
        target.name,
        target.scorecard_template_name,
        target.usecase_name,
        target.criterion_or_chapter_id,
        target.coaching_plan_name,
        row.value,
        format_instant(row.as_of),
    ]


def _value(number: int) -> str:
    """A quarter of a percent apart, so that 32 bits hold it, and below all values of the sample world."""
    return f"{number % 200 / 4 + 0.25:g}"


def _at(night: int, number: int) -> datetime:
    return _LAST_NIGHT + timedelta(hours=night, milliseconds=number)


def _shuffled(count: int) -> list[int]:
    """Always the same, and in no order."""
    return sorted(range(count), key=lambda number: number * _GOLDEN % 1)
