"""The fields a caller may give for a target: in UpdateTarget's query, in CreateTarget's body."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from api_adapter.sandbox.errors import Refusal
from api_adapter.sandbox.query import parse_query
from schemas.instants import parse_instant
from schemas.names import COACHING_PLAN, SCORECARD_TEMPLATE, USECASE
from schemas.numbers import check_percentage, to_float32

_FIELDS = (
    "scorecardTemplateName",
    "criterionOrChapterId",
    "target",
    "usecaseName",
    "coachingPlanName",
    "createTime",
    "updateTime",
    "qaScore",
)
_PREFIX = "target."
_QUERY_FIELDS = frozenset(_PREFIX + field for field in _FIELDS)
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity)|nan", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TargetFields:
    """Checked. ``qa_score`` is None where none was given; given times are checked and dropped."""

    scorecard_template_name: str
    usecase_name: str
    target: float
    criterion_or_chapter_id: str
    coaching_plan_name: str
    qa_score: float | None


def fields_from_query(raw: str) -> TargetFields:
    return _checked(parse_query(raw, _QUERY_FIELDS), _PREFIX)


def fields_from_body(body: Mapping[str, Any]) -> TargetFields:
    return _checked({field: body[field] for field in _FIELDS if body.get(field) is not None}, "")


def read_object(body: bytes) -> dict[str, Any]:
    # ours: a missing body is refused, since the reference calls it required; a stock grpc-gateway lets it pass
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refusal(400, f"the body is no JSON object but {type(value).__name__}")
    return value


def _checked(given: Mapping[str, Any], prefix: str) -> TargetFields:
    for time in ("createTime", "updateTime"):
        if (value := given.get(prefix + time)) is not None:
            _instant(value, prefix + time)
    for required in ("scorecardTemplateName", "target", "usecaseName"):
        if given.get(prefix + required, "") == "":
            raise Refusal(400, f"missing required field: {prefix}{required}")
    qa_score = given.get(prefix + "qaScore")
    return TargetFields(
        scorecard_template_name=_name(given, prefix + "scorecardTemplateName", SCORECARD_TEMPLATE.check),
        usecase_name=_name(given, prefix + "usecaseName", USECASE.check),
        target=_percentage(given[prefix + "target"], prefix + "target"),
        # ours: what is omitted is cleared (a full overwrite, AIP-134), so a lost identity widens the target here
        criterion_or_chapter_id=_text(given, prefix + "criterionOrChapterId"),
        coaching_plan_name=_name(given, prefix + "coachingPlanName", COACHING_PLAN.check),
        qa_score=None if qa_score is None else _float32(qa_score, prefix + "qaScore"),
    )


def _text(given: Mapping[str, Any], field: str) -> str:
    value = given.get(field, "")
    if not isinstance(value, str):
        raise Refusal(400, f"{field}: a string is expected")
    return value


def _name(given: Mapping[str, Any], field: str, check: Callable[[str], str]) -> str:
    # ours: a name must have the documented format; whether the real remote checks it nobody knows
    value = _text(given, field)
    try:
        return value and _same_object(check, value)
    except ValueError as error:
        raise Refusal(400, f"{field}: {error}") from None


@lru_cache(maxsize=8192)
def _same_object(check: Callable[[str], str], name: str) -> str:
    """Checked once; and a hundred thousand targets of one template keep one string between them."""
    return check(name)


def _float32(value: Any, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Refusal(400, f"{field}: a number is expected")
    if isinstance(value, str) and not _FLOAT.fullmatch(value):
        raise Refusal(400, f"type mismatch, parameter: {field}, error: {value[:40]!r} is no number")
    try:
        return to_float32(float(value))
    except OverflowError:
        raise Refusal(400, f"{field}: {str(value)[:40]} is out of a 32-bit float's range") from None


def _percentage(value: Any, field: str) -> float:
    # ours: the reference says 0 to 100, not what becomes of another value; NaN is one
    try:
        return check_percentage(_float32(value, field))
    except ValueError as error:
        raise Refusal(400, f"{field}: {error}") from None


def _instant(value: Any, field: str) -> None:
    try:
        parse_instant(value)
    except ValueError as error:
        raise Refusal(400, f"{field}: {error}") from None
