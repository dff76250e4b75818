"""The file of a plan: one JSON object, a row of the plan on a line of its own."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.jobs import JobKind
from schemas.plans import MOST_ROWS, Plan, PlanAction, PlanRow
from worker.core.plan import seen_by, wish_to_offer
from worker.intake.json_text import BrokenJson, parse_json
from worker.intake.readers import BadRow, GoodRow, Row, read_wishes
from worker.intake.row_errors import errors_of
from worker.intake.source import FileRefused, FileSource, Source, opened

MOST_BYTES = 512 * 1024 * 1024
_MARK = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"coachsyncPlan"\s*:')
_HEAD = 4096
_AGAIN = "make it anew with `coachsync targets plan`"


def is_plan(source: FileSource) -> bool:
    """By how it begins. What can be read only once is none: it would be used up."""
    if not source.rereadable:
        return False
    with opened(source) as stream:
        try:
            return _MARK.match(stream.read(_HEAD)) is not None
        except (OSError, EOFError):
            return False  # broken, which the readers say better


def read_plan(source: FileSource) -> Plan:
    """Raises ``FileRefused`` with the first thing that is wrong."""
    try:
        with opened(source) as stream:
            data = stream.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise FileRefused(f"{source.name}: a plan is at most {MOST_BYTES // 1024**2} MiB; {_AGAIN} of fewer rows")
        content = parse_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise FileRefused(f"{source.name}: byte {error.object[error.start]:#04x} is not UTF-8; {_AGAIN}") from error
    except (BrokenJson, EOFError, OSError) as error:
        raise FileRefused(f"{source.name}: {error}; {_AGAIN}") from error
    if not isinstance(content, dict):
        raise FileRefused(f"{source.name}: is no plan; {_AGAIN}")
    try:
        return Plan.model_validate(content)
    except ValidationError as refusal:
        first = errors_of(refusal, content)[0]
        said = f", not {first.value}" if first.value and len(first.value) < 80 else ""  # noqa: PLR2004 - a line's worth
        where = f"{first.field}: " if first.field else ""
        raise FileRefused(f"{source.name}: {where}{first.reason}{said}; {_AGAIN}") from refusal


def rows_to_apply(plan: Plan) -> Iterator[Row]:
    """Numbered anew: what the plan does not hand in has no row. The line is still that of the file that was planned."""
    offered = (row for row in plan.rows if row.action.offered)
    for number, row in enumerate(offered, start=1):
        yield GoodRow(number, row.line, wish_to_offer(row), seen_by(row))


def read_rows(source: Source) -> list[Row]:
    """All rows of a file that is to be planned."""
    rows: list[Row] = []
    for row in read_wishes(source, JobKind.TARGET_UPDATE):
        rows.append(row)
        if len(rows) > MOST_ROWS:
            raise FileRefused(
                f"{source.name}: more than {MOST_ROWS:,} rows are no plan to look at; plan a part of them"
            )
    return rows


def unreadable(row: BadRow) -> PlanRow:
    fields = ", ".join(error.field for error in row.errors)
    reasons = "; ".join(error.reason for error in row.errors)
    return PlanRow(row=row.row, line=row.line, action=PlanAction.REFUSED, field=fields, reason=reasons)


def plan_record(plan: Plan) -> dict[str, Any]:
    """As the file has it, and ``--json``."""
    head = plan.model_dump(mode="json", by_alias=True, exclude={"rows"})
    rows = [row.model_dump(mode="json", by_alias=True, exclude_defaults=True) for row in plan.rows]
    return head | {"rows": rows}


def plan_text(plan: Plan) -> Iterator[str]:
    """Piece by piece; rows each on a line, so that two plans can be compared with ``diff``."""
    record = plan_record(plan)
    rows = record.pop("rows")
    yield json.dumps(record, ensure_ascii=False, indent=2).removesuffix("\n}") + ',\n  "rows": ['
    for number, row in enumerate(rows):
        yield f"{',' if number else ''}\n    {json.dumps(row, ensure_ascii=False)}"
    yield "\n  ]\n}\n"


def write_plan(plan: Plan, path: Path) -> None:
    """Whole or not at all: a plan that was made before stays until this one is there."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(plan_text(plan))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        why = error.strerror or str(error)
        raise FileRefused(f"{path}: the plan cannot be written: {why}; name another file with -o") from error
