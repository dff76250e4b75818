"""A target as the sandbox keeps it, and as it goes over the wire."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from schemas.instants import format_instant
from schemas.numbers import format_float32

_EXACT = 2**53
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Target:
    """``target`` and ``qa_score`` have been through 32 bits."""

    name: str
    scorecard_template_name: str
    usecase_name: str
    target: float
    criterion_or_chapter_id: str = ""
    coaching_plan_name: str = ""
    qa_score: float = 0.0
    create_time: datetime = EPOCH
    update_time: datetime = EPOCH


def target_json(target: Target) -> dict[str, Any]:
    """All fields, in the order of the vendor's reference."""
    return {
        "name": target.name,
        "scorecardTemplateName": target.scorecard_template_name,
        "criterionOrChapterId": target.criterion_or_chapter_id,
        "target": json_float32(target.target),
        "usecaseName": target.usecase_name,
        "coachingPlanName": target.coaching_plan_name,
        "createTime": _format_cached(target.create_time),
        "updateTime": format_instant(target.update_time),
        "qaScore": json_float32(target.qa_score),
    }


def without_defaults(value: Any) -> Any:
    """The same answer as a gateway writes it that leaves default values out (proto3 JSON)."""
    if isinstance(value, dict):
        kept = {key: without_defaults(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in ("", 0, False, [])}
    return [without_defaults(inner) for inner in value] if isinstance(value, list) else value


_format_cached = lru_cache(maxsize=4096)(format_instant)  # many targets were created in one go


@lru_cache(maxsize=4096)
def json_float32(value: float) -> float | int:
    """The shortest decimal of the 32 bits: 0.1, 33.333332, 90."""
    number = float(format_float32(value))
    return int(number) if number.is_integer() and abs(number) < _EXACT else number
