"""How the fields of a wish may be spelled in a file: camelCase or snake_case, the API's own also after ``target.``."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel

from schemas.coaching import EvaluationPeriod
from schemas.jobs import JobKind, QuotaRecalculation, TargetUpdate

_MODELS: Mapping[JobKind, type[BaseModel]] = {
    JobKind.TARGET_UPDATE: TargetUpdate,
    JobKind.QUOTA_RECALCULATION: QuotaRecalculation,
}
_FLATTENED: Mapping[str, type[BaseModel]] = {"evaluation_period": EvaluationPeriod}
_OURS = frozenset({"as_of", "request_key", "priority"})
_PREFIX = "target."


@dataclass(frozen=True, slots=True)
class WishFields:
    """``columns`` and ``keys`` lead from each accepted spelling to the API's name; a nested column is dotted."""

    columns: Mapping[str, str]
    keys: Mapping[str, str]
    required: tuple[str, ...]


@cache
def wish_fields(kind: JobKind) -> WishFields:
    model = _MODELS[kind]
    keys = {spelling: camel for snake, camel in _fields(model) for spelling in (snake, camel)}
    columns = {spelling: camel for snake, camel in _columns(model) for spelling in (snake, camel)}
    if kind is JobKind.TARGET_UPDATE:
        ours = {camel for snake, camel in _fields(model) if snake in _OURS}
        prefixed = {_PREFIX + spelling: camel for spelling, camel in keys.items() if camel not in ours}
        keys, columns = keys | prefixed, columns | prefixed
    required = tuple(str(info.alias) for info in model.model_fields.values() if info.is_required())
    return WishFields(columns, keys, required)


def nearest(spelling: str, known: Mapping[str, str]) -> str:
    """`` (did you mean "target"?)``, or nothing where no known spelling is near."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(spelling[:80].strip().lower(), by_lower, n=1)
    return f' (did you mean "{by_lower[found[0]]}"?)' if found else ""


def _fields(model: type[BaseModel]) -> list[tuple[str, str]]:
    return [(name, str(info.alias)) for name, info in model.model_fields.items()]


def _columns(model: type[BaseModel]) -> list[tuple[str, str]]:
    columns = []
    for snake, camel in _fields(model):
        nested = _FLATTENED.get(snake)
        inner = _fields(nested) if nested else []
        columns += [(f"{snake}.{name}", f"{camel}.{alias}") for name, alias in inner] or [(snake, camel)]
    return columns
