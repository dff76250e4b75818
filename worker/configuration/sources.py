"""Where settings come from: ``COACHSYNC_*`` variables, ``coachsync.toml``. Each value knows its origin.

Only names are checked here, and paths made absolute; what a value means is settled in ``settings``.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

from worker.configuration.credentials import read_secret_file
from worker.configuration.file import SettingsFile
from worker.configuration.redaction import mask_url

PREFIX = "COACHSYNC_"
CONFIG_VARIABLE = "COACHSYNC_CONFIG"
REMOTE_SECRETS = ("api_token", "api_key", "oauth_client_secret")
WEBHOOK_KEY = "webhook_key"
SECRETS = (*REMOTE_SECRETS, WEBHOOK_KEY)
OAUTH_TEXTS = ("oauth_client_id", "oauth_token_url")
_URLS = ("database_url", "broker_url")  # each may hold a password, so a file may hold it
PATHS = frozenset({"home", "ca_bundle", *(f"{name}_file" for name in (*SECRETS, *_URLS))})

# Kubernetes puts these into every container for a Service that is named coachsync or coachsync-something.
_SERVICE_LINK = re.compile(r"COACHSYNC_(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)")
_OTHERS = ("COACHSYNC_TEST_", "COACHSYNC_SANDBOX_")


class Source(StrEnum):
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """``place`` is the variable, or the file with its line."""

    source: Source
    place: str = ""

    def __str__(self) -> str:
        match self.source:
            case Source.ENVIRONMENT:
                return f"environment {self.place}"
            case Source.FILE:
                return self.place
            case Source.DEFAULT:
                return self.source.value


DEFAULT = Origin(Source.DEFAULT)


@dataclass(frozen=True, slots=True)
class Given:
    """``label`` is how the operator finds it: the variable's name, or the key with its file and line."""

    label: str
    value: object
    origin: Origin


Layer = Mapping[str, Given]


@dataclass(frozen=True, slots=True)
class Names:
    """The names each source may use. A secret stands in the file only by reference: ``*_file`` or ``*_env``."""

    plain: frozenset[str]
    remote: frozenset[str]
    tables: frozenset[str] = frozenset()

    @property
    def in_environment(self) -> frozenset[str]:
        return self.plain | {*OAUTH_TEXTS, *SECRETS, *(f"{name}_file" for name in (*SECRETS, *_URLS))}

    @property
    def in_file(self) -> frozenset[str]:
        urls = {f"{name}_file" for name in _URLS}
        return self.plain | _references(SECRETS) | urls | {*OAUTH_TEXTS, "remotes", *self.tables}

    @property
    def in_table(self) -> frozenset[str]:
        return self.remote | _references(REMOTE_SECRETS) | {*OAUTH_TEXTS, "customers"}


def _references(secrets: Iterable[str]) -> frozenset[str]:
    return frozenset(f"{name}_{how}" for name in secrets for how in ("file", "env"))


def slot(key: str) -> str:
    """``api_token`` for ``api_token_file`` and ``api_token_env``: three ways to give one thing."""
    return next((name for name in (*SECRETS, *_URLS) if key in (f"{name}_file", f"{name}_env")), key)


def merge(*layers: Layer) -> dict[str, Given]:
    """The lowest layer first. A secret given any way in a higher layer replaces all ways of a lower one."""
    merged: dict[str, Given] = {}
    for layer in layers:
        replaced = {slot(key) for key in layer}
        merged = {key: given for key, given in merged.items() if slot(key) not in replaced} | dict(layer)
    return merged


def read_urls(layer: Layer, problems: list[str]) -> dict[str, Given]:
    """The layer with the URLs that stand in files."""
    read = dict(layer)
    for name in _URLS:
        given = read.pop(f"{name}_file", None)
        if given is None:
            continue
        if name in read:
            problems.append(f"{read[name].label} and {given.label} give the same URL; keep one")
        elif not isinstance(given.value, Path):
            problems.append(f"{given.label} is no path; name the file that holds the URL")
        else:
            try:
                read[name] = replace(given, value=read_secret_file(given.value).get_secret_value())
            except ValueError as error:
                problems.append(f"{given.label}: {error}")
    return read


def from_variables(environ: Mapping[str, str], named: frozenset[str], names: Names, problems: list[str]) -> Layer:
    """The ``COACHSYNC_*`` variables; ``named`` are those that the file refers to as holding a secret."""
    known = {f"{PREFIX}{key.upper()}": key for key in names.in_environment}
    ours = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    strangers = [name for name in ours if not (name in known or name in named or _is_another_programs(name))]
    _refuse_unknown(strangers, {*known, CONFIG_VARIABLE}, problems)
    problems.extend(
        f"{name} is empty; give it a value or unset it" for name in ours if name in known and not ours[name]
    )
    return {
        known[name]: Given(name, text, Origin(Source.ENVIRONMENT, name))
        for name, text in ours.items()
        if name in known and text
    }


def from_file(file: SettingsFile, names: Names, problems: list[str]) -> tuple[Layer, dict[str, Layer]]:
    """The top level, and each ``[remotes.NAME]`` table."""
    top = _from_table(file, "", file.content, names.in_file, problems)
    for name in ("remotes", *names.tables):
        top.pop(name, None)
    tables = file.content.get("remotes", {})
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        problems.append(f"{file.path.name}: remotes holds tables; write [remotes.NAME] above the settings of each")
        return top, {}
    return top, {
        name: _from_table(file, f"remotes.{name}.", table, names.in_table, problems) for name, table in tables.items()
    }


def variables_named(layers: Iterable[Layer]) -> frozenset[str]:
    """The variables that ``*_env`` keys name."""
    return frozenset(
        given.value
        for layer in layers
        for key, given in layer.items()
        if key.endswith("_env") and isinstance(given.value, str)
    )


def absolute_paths(layer: Layer, base: Path, user_home: str | None) -> dict[str, Given]:
    """Paths relative to ``base``; ``~/`` is the user's home."""
    return {
        key: replace(given, value=_absolute(given.value, base, user_home)) if key in PATHS else given
        for key, given in layer.items()
    }


def _absolute(value: object, base: Path, user_home: str | None) -> object:
    if not isinstance(value, str | Path) or "\0" in str(value):
        return value
    text = str(value)
    if text.startswith("~/") and user_home:
        return Path(user_home, text[2:])
    return Path(os.path.normpath(base / text))


def _from_table(
    file: SettingsFile, prefix: str, table: Mapping[str, object], known: frozenset[str], problems: list[str]
) -> dict[str, Given]:
    layer: dict[str, Given] = {}
    for key, value in table.items():
        place = file.place(f"{prefix}{key}")
        if key in _URLS and isinstance(value, str) and mask_url(value) != value:
            problems.append(
                f"{key} ({place}) has a password in it; "
                f"give the URL by {PREFIX}{key.upper()} or name a file that holds it by {key}_file instead"
            )
        elif key in known:
            layer[key] = Given(f"{prefix}{key} ({place})", value, Origin(Source.FILE, place))
        elif key in SECRETS:
            problems.append(
                f"{prefix}{key} ({place}) is a secret in the clear; "
                f"name a file by {key}_file or a variable by {key}_env instead"
            )
        else:
            problems.append(f"{prefix}{key} ({place}): no setting has this name{_suggestion(key, known)}")
    return layer


def _is_another_programs(variable: str) -> bool:
    return variable == CONFIG_VARIABLE or variable.startswith(_OTHERS) or _SERVICE_LINK.fullmatch(variable) is not None


def _refuse_unknown(given: Iterable[str], known: Iterable[str], problems: list[str]) -> None:
    known = frozenset(known)
    problems.extend(
        f"{name}: no setting has this name{_suggestion(name, known)}" for name in given if name not in known
    )


def _suggestion(name: str, known: frozenset[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
