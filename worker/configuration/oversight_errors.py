"""What is wrong with a table of coachsync.toml: a line for each thing, with the key, the line and the remedy."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.coaching import EvaluationPeriod, OverriddenAgent, TaskCompleteConfig
from schemas.policy import Policy, QuotaRule, TargetRule
from worker.configuration.file import SettingsFile, dotted
from worker.configuration.oversight import (
    GatewayOptions,
    GuardOptions,
    ReconcileOptions,
    RosterColumns,
    RosterOptions,
    SourceOptions,
    WebhookOptions,
)
from worker.configuration.redaction import mask_url

_MODELS: Mapping[str, type[BaseModel]] = {
    "roster": RosterOptions,
    "roster.columns": RosterColumns,
    "guard": GuardOptions,
    "reconcile": ReconcileOptions,
    "webhooks": WebhookOptions,
    "gateway": GatewayOptions,
    "policy": Policy,
    "policy.quotas": QuotaRule,
    "policy.quotas.period": EvaluationPeriod,
    "policy.quotas.override": TaskCompleteConfig,
    "policy.quotas.override.overridden_agents": OverriddenAgent,
    "policy.targets": TargetRule,
}
_TABLES_IN_LISTS = ("policy.quotas", "policy.targets", "policy.quotas.override.overridden_agents")
_NAME = "must be 1 to 500 characters, without spaces"
_PATTERNS = {
    "name": "must be 1 to 100 characters, none of them a control character",
    "criterion": "must be at most 128 characters, without spaces and / ? # & %",
    **dict.fromkeys(("source", "stream", "groups", "group", "user"), _NAME),
}
_REASONS = {
    "string_type": "must be text; write it in quotes",
    "string_too_short": "must be 1 to 200 characters",
    "string_too_long": "must be 1 to 200 characters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "literal_error": "must be 'current', 'next' or a table with start_time and end_time",
    "too_short": "is empty; name one at least, or leave it out",
}
_CONTINUES = re.compile(r"(is|has|must|lies|names|needs|takes) ")
_NAMES_A_FIELD = re.compile(r"(\w+(?:\[\d+\])?(?:\.\w+)?):? ")
_MOST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class _Wrong:
    """``path`` leads to the value as the file spells it; of what is missing, to where it would be."""

    kind: str
    path: tuple[str | int, ...]
    content: Any
    message: str


def told(table: str, error: ValidationError, file: SettingsFile) -> list[str]:
    """One line for each place: of the kinds that a value may be of, the first has its say."""
    found = [_wrong(table, details, file.content) for details in error.errors(include_url=False)]
    lines: dict[str, str] = {}
    for wrong in filter(None, found):
        key = dotted(wrong.path)
        lines.setdefault(key, f"{key} ({file.place_of(wrong.path)}){_said(wrong)}")
    return list(lines.values())


def spelt(content: Mapping[str, Any], name: str) -> str:
    """As the file spells it: fields are taken in camelCase or snake_case."""
    return name if name in content else next((key for key in content if _snake(key) == _snake(name)), name)


def _wrong(table: str, details: ErrorDetails, file: Mapping[str, Any]) -> _Wrong | None:
    path: list[str | int] = [table]
    content = file[table]
    for part in details["loc"]:
        if (step := _step(content, part)) is not None:
            path.append(step)
            content = content[step]
    kind = details["type"]
    if kind == "literal_error" and isinstance(content, Mapping):
        return None  # it is a table: what is wrong in it is told
    if kind == "too_short" and content:
        return None  # of the good ones too few are left: the wrong ones are told
    if kind == "missing":
        path.append(_snake(str(details["loc"][-1])))
    cause = details.get("ctx", {}).get("error")
    return _moved(_Wrong(kind, tuple(path), content, str(cause) if cause else _message(details)))


def _step(content: Any, part: str | int) -> str | int | None:
    """The way inside; None of a part that the file does not have, like pydantic's names for a union's members."""
    if isinstance(content, Mapping):
        key = spelt(content, str(part))
        return key if key in content else None
    return part if isinstance(content, list) and isinstance(part, int) and part < len(content) else None


def _moved(wrong: _Wrong) -> _Wrong:
    """A model that names the field that it is about: told of that field."""
    match = _NAMES_A_FIELD.match(wrong.message)
    if match is None or not isinstance(wrong.content, Mapping):
        return wrong
    path, content = list(wrong.path), wrong.content
    for part in re.findall(r"\w+", match[1]):
        step = _step(content, int(part) if part.isdigit() else part)
        if step is None:
            return wrong
        path.append(step)
        content = content[step]
    return replace(wrong, path=tuple(path), content=content, message=wrong.message[match.end() :])


def _message(details: ErrorDetails) -> str:
    if details["loc"] and details["type"] == "string_pattern_mismatch":
        named = next((str(part) for part in reversed(details["loc"]) if isinstance(part, str)), "")
        return _PATTERNS.get(named, details["msg"])
    return _REASONS.get(details["type"]) or re.sub(r"^(Input|String) should", "must", details["msg"])


def _said(wrong: _Wrong) -> str:
    match wrong.kind:
        case "missing":
            return " is missing; give it"
        case "model_type" | "dict_type":
            return f" is no table; write {_header(wrong.path)} above its settings"
        case "tuple_type" | "list_type" if _snake(_written(wrong.path)) in _TABLES_IN_LISTS:
            return f" is no list of tables; write [[{_written(wrong.path)}]] above the settings of each"
        case "tuple_type" | "list_type":
            return f" is no list; write {_listed(wrong.content)}"
        case "extra_forbidden":
            return f": {_stranger(wrong.path)}"
        case _:
            return _of_value(wrong)


def _of_value(wrong: _Wrong) -> str:
    """With the value, where the message does not begin with it."""
    message = mask_url(wrong.message) if "://" in wrong.message else wrong.message
    shown = _shown(wrong.content)
    if isinstance(wrong.content, Mapping | list) or message.startswith(shown[: _MOST_SHOWN // 2]):
        return f": {message}"
    return f" = {shown}{'' if _CONTINUES.match(message) else ':'} {message}"


def _shown(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            text = mask_url(value) if "://" in value else value
            return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")
        case _:
            return str(value)[:_MOST_SHOWN]


def _listed(content: object) -> str:
    return f"it in brackets: [{_shown(content)}]" if isinstance(content, str | int | float) else "one: [...]"


def _header(path: Sequence[str | int]) -> str:
    """An element of a list has two brackets."""
    return f"[[{_written(path)}]]" if isinstance(path[-1], int) else f"[{_written(path)}]"


def _written(path: Sequence[str | int]) -> str:
    """The table's name as its header has it, without the places in lists."""
    return ".".join(part for part in path if isinstance(part, str))


def _stranger(path: Sequence[str | int]) -> str:
    """Which names there are at this place."""
    name = str(path[-1])
    within = _snake(_written(path[:-1]))
    model = SourceOptions if within.startswith("gateway.sources.") else _MODELS.get(within)
    known = sorted(model.model_fields) if model else []
    if _snake(name) in known:
        return "it is given twice, in two spellings; keep one"
    near = get_close_matches(_snake(name), known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"no setting has this name; {hint}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
