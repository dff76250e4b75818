"""The tables [roster], [guard], [reconcile] and [policy] of coachsync.toml, each checked against its model."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.coaching import EvaluationPeriod, TaskCompleteConfig
from schemas.policy import Policy, QuotaRule, TargetRule
from worker.configuration.file import SettingsFile
from worker.configuration.oversight import GuardOptions, ReconcileOptions, RosterColumns, RosterOptions
from worker.configuration.problems import shown

TABLES: Mapping[str, type[BaseModel]] = {
    "roster": RosterOptions,
    "guard": GuardOptions,
    "reconcile": ReconcileOptions,
    "policy": Policy,
}
_MODELS: Mapping[str, type[BaseModel]] = {
    **TABLES,
    "roster.columns": RosterColumns,
    "policy.quotas": QuotaRule,
    "policy.targets": TargetRule,
    "policy.quotas.override": TaskCompleteConfig,
    "policy.quotas.period": EvaluationPeriod,
}


def resolve_oversight(file: SettingsFile | None, problems: list[str]) -> dict[str, BaseModel]:
    """Each table's options, the defaults where the file has no such table; what is wrong goes to ``problems``."""
    content = file.content if file else {}
    found: dict[str, BaseModel] = {}
    for name, model in TABLES.items():
        try:
            found[name] = model.model_validate(content.get(name, {}))
        except ValidationError as error:
            found[name] = model()
            assert file is not None  # noqa: S101 - the defaults are valid
            problems.extend(dict.fromkeys(_lines(name, error.errors(include_url=False), file)))
    return found


def _lines(table: str, errors: Sequence[ErrorDetails], file: SettingsFile) -> Iterator[str]:
    told: set[str] = set()
    for details in errors:
        path = _known_path(details, file.content[table])
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in (table, *path)).lstrip(".")
        if key not in told:  # of a union's members each has its say: the first is enough
            told.add(key)
            yield f"{key} ({_place(file, key)}){_said(details, table, file.content[table], path)}"


def _known_path(details: ErrorDetails, content: Any) -> list[str | int]:
    """The way to the value as the file has it, without pydantic's names for the members of a union."""
    path: list[str | int] = []
    for part in details["loc"]:
        inside = _step(content, part)
        if inside is None and not (details["type"] == "missing" and part == details["loc"][-1]):
            continue
        path.append(part if not isinstance(content, Mapping) or part in content else _spelt(content, part))
        content = inside
    return path


def _spelt(content: Mapping[str, Any], part: str | int) -> str | int:
    """As the file spells it: fields are taken in camelCase or snake_case."""
    folded = str(part).replace("_", "").lower()
    return next((key for key in content if key.replace("_", "").lower() == folded), part)


def _step(content: Any, part: str | int) -> Any:
    if isinstance(content, Mapping):
        return content.get(_spelt(content, part))
    if isinstance(content, list) and isinstance(part, int) and part < len(content):
        return content[part]
    return None


def _place(file: SettingsFile, key: str) -> str:
    """The line of the key, or of the nearest table around it."""
    while key and key not in file.lines:
        key = key.rpartition(".")[0] or (key.rpartition("[")[0] if key.endswith("]") else "")
    return file.place(key)


def _said(details: ErrorDetails, table: str, content: Any, path: Sequence[str | int]) -> str:
    for part in path:
        content = _step(content, part)
    match details["type"]:
        case "missing":
            return " is missing; give it"
        case "model_type" | "dict_type":
            return " is no table; write [NAME] above its settings"
        case "tuple_type" | "list_type":
            return " is no list"
        case "extra_forbidden":
            return f": no setting has this name{_near(table, path)}"
        case _:
            cause = details.get("ctx", {}).get("error")
            message = str(cause) if cause else details["msg"].removeprefix("Value error, ").removeprefix("Input ")
            return f": {message}" if isinstance(content, Mapping | list) else f" = {shown(content)}: {message}"


def _near(table: str, path: Sequence[str | int]) -> str:
    """What the nearest right name would be, of those that the model has at this place."""
    names = [table, *(part for part in path if isinstance(part, str))]
    model = _MODELS.get(".".join(names[:-1]))
    known = sorted(model.model_fields) if model else []
    near = get_close_matches(names[-1], known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}" if known else ""
