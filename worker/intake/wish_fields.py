"""How the fields of a wish may be spelled in a file: camelCase or snake_case, the API's own also after ``target.``."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from pydantic import BaseModel

from schemas.coaching import EvaluationPeriod
from schemas.jobs import JobKind, QuotaRecalculation, TargetUpdate
from worker.intake.spellings import Spellings

_MODELS: Mapping[JobKind, type[BaseModel]] = {
    JobKind.TARGET_UPDATE: TargetUpdate,
    JobKind.QUOTA_RECALCULATION: QuotaRecalculation,
}
_FLATTENED: Mapping[str, type[BaseModel]] = {"evaluation_period": EvaluationPeriod}
_OURS = frozenset({"as_of", "request_key", "priority"})
_PREFIX = "target."
# an empty cell of these says something: the whole template, the whole organisation
_STATED_WHEN_EMPTY = frozenset({"criterionOrChapterId", "coachingPlanName"})


_COMMANDS = {
    JobKind.TARGET_UPDATE: "coachsync targets apply",
    JobKind.QUOTA_RECALCULATION: "coachsync quotas recalculate",
}


@cache
def wish_fields(kind: JobKind) -> Spellings:
    others = {command: _spellings(other) for other, command in _COMMANDS.items() if other is not kind}
    return replace(_spellings(kind), instead=others)


def _spellings(kind: JobKind) -> Spellings:
    model = _MODELS[kind]
    keys = {spelling: camel for snake, camel in _fields(model) for spelling in (snake, camel)}
    columns = {spelling: camel for snake, camel in _columns(model) for spelling in (snake, camel)}
    if kind is JobKind.TARGET_UPDATE:
        ours = {camel for snake, camel in _fields(model) if snake in _OURS}
        prefixed = {_PREFIX + spelling: camel for spelling, camel in keys.items() if camel not in ours}
        keys, columns = keys | prefixed, columns | prefixed
    required = tuple(str(info.alias) for info in model.model_fields.values() if info.is_required())
    return Spellings(columns, keys, required, _STATED_WHEN_EMPTY)


def _fields(model: type[BaseModel]) -> list[tuple[str, str]]:
    return [(name, str(info.alias)) for name, info in model.model_fields.items()]


def _columns(model: type[BaseModel]) -> list[tuple[str, str]]:
    columns = []
    for snake, camel in _fields(model):
        nested = _FLATTENED.get(snake)
        inner = _fields(nested) if nested else []
        columns += [(f"{snake}.{name}", f"{camel}.{alias}") for name, alias in inner] or [(snake, camel)]
    return columns
