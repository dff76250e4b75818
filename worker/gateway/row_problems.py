"""What is wrong with rows, for a program: each field by its JSON pointer, or by its line where there are lines."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from worker.intake.readers import BadRow
from worker.intake.row_errors import FieldError

Above = Callable[[int], str]  # the pointer to a row of a JSON document, by its number
_PART = re.compile(r"\[(\d+)\]|([^.\[]+)")


def pointer(prefix: str, field: str) -> str:
    """RFC 6901, of a field like ``overrideTaskCompleteConfig.overriddenAgents[0].user``."""
    parts = [number or name for number, name in _PART.findall(field)]
    return prefix + "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in parts)


def field_errors(prefix: str, errors: Iterable[FieldError]) -> list[dict[str, Any]]:
    return [
        {"pointer": pointer(prefix, one.field), "field": one.field, "reason": one.reason, "value": one.value}
        for one in errors
    ]


def rejected_row(bad: BadRow, above: Above | None) -> dict[str, Any]:
    """Rows that hang below nothing have lines."""
    if above is None:
        where: dict[str, Any] = {"row": bad.row, "line": bad.line}
        errors = [{"field": one.field, "reason": one.reason, "value": one.value} for one in bad.errors]
    else:
        where = {"row": bad.row}
        errors = field_errors(above(bad.row), bad.errors)
    return {**where, "errors": errors}
