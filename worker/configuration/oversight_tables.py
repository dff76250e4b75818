"""The tables of coachsync.toml beside the remotes, from [roster] to [policy], each checked against its model."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.policy import Policy
from worker.configuration.file import SettingsFile, dotted
from worker.configuration.oversight import GatewayOptions, GuardOptions, ReconcileOptions, RosterOptions, WebhookOptions
from worker.configuration.oversight_errors import spelt, told
from worker.configuration.sources import Origin, Source

TABLES: Mapping[str, type[BaseModel]] = {
    "roster": RosterOptions,
    "guard": GuardOptions,
    "reconcile": ReconcileOptions,
    "webhooks": WebhookOptions,
    "gateway": GatewayOptions,
    "policy": Policy,
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
            problems.extend(told(name, error, file))
    return found


def oversight_origins(file: SettingsFile | None) -> dict[str, Origin]:
    """Where the file says what, setting by setting; of the policy, rule by rule."""
    found: dict[str, Origin] = {}
    for table, model in TABLES.items():
        content = file.content.get(table) if file else None
        if file is None or not isinstance(content, Mapping):
            continue
        if model is Policy:
            found[table] = Origin(Source.FILE, file.place_of([table]))
            found |= _rule_origins(file, content)
            continue
        for name in model.model_fields:
            if (key := spelt(content, name)) in content:
                found[f"{table}.{name}"] = Origin(Source.FILE, file.place_of([table, key]))
    return found


def _rule_origins(file: SettingsFile, policy: Mapping[str, Any]) -> Iterator[tuple[str, Origin]]:
    """``policy.quotas[0]`` and so on."""
    for name, rules in policy.items():
        for number in range(len(rules) if isinstance(rules, list) else 0):
            path: list[str | int] = ["policy", name, number]
            yield dotted(path), Origin(Source.FILE, file.place_of(path))
