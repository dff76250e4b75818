"""What is wrong with a row, field by field, in words for the person who wrote the file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from worker.counts import counted
from worker.intake.printable import printable

MAX_ERRORS_PER_ROW = 20
MAX_VALUE_CHARACTERS = 200
MAX_REASON_CHARACTERS = 500

_NAME = "must be 1 to 500 characters, without spaces"
_PATTERNS = {
    "requestKey": "must be 1 to 255 printable ASCII characters, without spaces",
    "group": _NAME,
    "user": _NAME,
    "agent": _NAME,
    "groups": _NAME,
    "source": _NAME,
    "id": "must be 1 to 255 characters, none of them a control character",
    "subject": "must be text without control characters",
    "criterionOrChapterId": "must be at most 128 characters, without spaces and / ? # & %",
}
_REASONS = {
    "missing": "required, but nothing is given",
    "extra_forbidden": "unknown field",
    "string_type": "must be text",
    "string_unicode": "holds half of a surrogate pair, which is no text",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "bool_parsing": "must be true or false",
    "int_from_float": "must be a whole number",
    "finite_number": "must be a finite number",
    "model_type": "must be a JSON object",
    "tuple_type": "must be a JSON array",
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """``field`` is the API's name in camelCase, empty for the row as a whole; ``value`` is printable and trimmed."""

    field: str
    reason: str
    value: str = ""


def errors_of(refusal: ValidationError, fields: Mapping[str, object]) -> tuple[FieldError, ...]:
    """Each thing that pydantic found, named as the API names it, with what the file says there."""
    found = refusal.errors(include_url=False)
    errors = tuple(_field_error(detail, fields) for detail in found[:MAX_ERRORS_PER_ROW])
    if len(found) > MAX_ERRORS_PER_ROW:
        errors += (FieldError("", f"and {counted(len(found) - MAX_ERRORS_PER_ROW, 'more error')}"),)
    return errors


def _field_error(detail: ErrorDetails, fields: Mapping[str, object]) -> FieldError:
    place = detail["loc"]
    known = detail["type"] != "missing" and bool(place)
    return FieldError(
        field=printable(_field_name(detail), MAX_VALUE_CHARACTERS),
        reason=reason_of(detail),
        value=value_text(_given(fields, place, detail["input"])) if known else "",
    )


def _field_name(detail: ErrorDetails) -> str:
    """``overrideTaskCompleteConfig.overriddenAgents[0].user``; pydantic's place is spelled as the file spells it."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{to_camel(part)}" for part in detail["loc"]]
    if detail["type"] == "extra_forbidden":
        parts[-1] = f".{detail['loc'][-1]}"
    return "".join(parts).removeprefix(".")


def _given(fields: Mapping[str, object], place: tuple[int | str, ...], validated: object) -> object:
    """What the file says: a validator that runs first may have made 1e400 an infinity."""
    given: object = fields
    for part in place:
        match given, part:
            case (dict(), str()) if part in given:
                given = given[part]
            case (list(), int()):
                given = given[part]
            case _:
                return validated
    return given


def value_text(value: object) -> str:
    """As the file has it: text bare, anything else as JSON."""
    if isinstance(value, str):
        return printable(value, MAX_VALUE_CHARACTERS)
    try:
        return printable(json.dumps(value, ensure_ascii=False), MAX_VALUE_CHARACTERS)
    except (RecursionError, ValueError):  # nested as deep as it can be read; an int of more digits than Python writes
        return "…"


def reason_of(detail: ErrorDetails) -> str:
    """What pydantic found, in our words."""
    return printable(_reason(detail), MAX_REASON_CHARACTERS)


def _reason(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "enum":
        return f"must be {context['expected']}".replace("'", "")
    named = next((part for part in reversed(detail["loc"]) if isinstance(part, str)), "")
    if kind == "string_pattern_mismatch" and named in _PATTERNS:
        return _PATTERNS[named]
    return _REASONS.get(kind) or detail["msg"].replace("Input should", "must").replace("String should", "must")
