"""The settings: one frozen object, resolved once at the start of a process.

Highest first: ``COACHSYNC_*`` variables, ``coachsync.toml``, defaults. Only
``from_environment`` and ``api_url_given`` touch the process; all else takes what it needs. What cannot be used is a
``worker.configuration.problems.SettingsError``: one line a problem.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr, SkipValidation

from schemas.policy import Policy
from worker.configuration.file import SettingsFile, find_settings_file, read_settings_file
from worker.configuration.listening import Listen, ListenAt
from worker.configuration.oversight import GatewayOptions, GuardOptions, ReconcileOptions, RosterOptions, WebhookOptions
from worker.configuration.oversight_tables import TABLES as OVERSIGHT
from worker.configuration.oversight_tables import oversight_origins, resolve_oversight
from worker.configuration.problems import SettingsError, validated
from worker.configuration.remote_settings import (
    check_access,
    resolve_credentials,
    resolve_tables,
    resolve_webhook_key,
    without_secrets,
)
from worker.configuration.remotes import DEFAULT_REMOTE, NoRemote, Remote, RemoteOptions
from worker.configuration.socket_path import socket_path, socket_url
from worker.configuration.source_secrets import resolve_source_secrets, signing_variables
from worker.configuration.sources import (
    CONFIG_VARIABLE,
    DEFAULT,
    WEBHOOK_KEY,
    Given,
    Layer,
    Names,
    Origin,
    absolute_paths,
    from_file,
    from_variables,
    merge,
    read_urls,
    slot,
    variables_named,
)
from worker.configuration.values import (
    BrokerUrl,
    DatabaseUrl,
    Directory,
    LogFormat,
    LogLevel,
    redis_client_url,
    sqlite_url,
    whole,
)


class Settings(RemoteOptions):
    """What is in force. The top level's remote options are the default remote's, and what tables inherit."""

    home: Directory
    database_url: DatabaseUrl
    broker_url: BrokerUrl
    embedded_broker: bool
    log_format: LogFormat
    log_level: LogLevel = LogLevel.INFO
    retention_days: Annotated[int, whole(1, 3650)] = 30
    allow_http: bool = False
    traces: bool = False
    gateway_listen: ListenAt = Listen("127.0.0.1", 8080)
    webhook_key: SecretStr | None = None
    webhooks: WebhookOptions = WebhookOptions()
    gateway: GatewayOptions = GatewayOptions()
    source_secrets: Mapping[str, SecretStr] = Field(default=MappingProxyType({}), exclude=True)
    remotes: tuple[Remote, ...] = ()
    roster: RosterOptions = RosterOptions()
    guard: GuardOptions = GuardOptions()
    reconcile: ReconcileOptions = ReconcileOptions()
    policy: Policy = Policy()
    provenance: SkipValidation[Mapping[str, Origin]] = Field(default=MappingProxyType({}), repr=False, exclude=True)

    @property
    def redis_url(self) -> str:
        """The broker's server as redis-py takes it. Holds the password, if there is one."""
        return redis_client_url(self.broker_url.get_secret_value())

    @cached_property  # asked for each row of a file
    def default_remote(self) -> Remote | None:
        return self.remote(DEFAULT_REMOTE)

    @property
    def all_remotes(self) -> tuple[Remote, ...]:
        return (*self.remotes, *filter(None, [self.default_remote]))

    def remote_for(self, customer: str) -> Remote | NoRemote:
        """The remote that names the customer, or the default one."""
        for remote in self.remotes:
            if customer in remote.customers:
                return remote
        return self.default_remote or NoRemote(
            customer,
            f"no remote serves the customer {customer!r:.80}: set COACHSYNC_API_URL for a default remote, "
            "or add the customer to a [remotes.NAME] table of coachsync.toml",
        )


def from_environment() -> Settings:
    """The settings of this process; the only reader of its environment."""
    environ = dict(os.environ)  # noqa: TID251 - this is the door the rule points to
    return load_settings(environ, cwd=Path.cwd(), terminal=sys.stderr.isatty())


def hand_down(name: str, value: str) -> None:
    """To a library that takes it from the environment only, and to our children."""
    os.environ[name] = value  # noqa: TID251 - as above


def api_url_given() -> str | None:
    """The default remote's URL as it is given, unchecked, where one is."""
    given = _collect(dict(os.environ), Path.cwd(), []).top.get("api_url")  # noqa: TID251 - as above
    return str(given.value) if given else None


def load_settings(environ: Mapping[str, str], *, cwd: Path, terminal: bool = False) -> Settings:
    """Resolve the settings, or raise ``SettingsError`` with all problems at once."""
    problems: list[str] = []
    given = _collect(environ, cwd, problems)
    settings = _resolve(given, environ, terminal=terminal, problems=problems)
    if settings is None or problems:
        raise SettingsError(tuple(dict.fromkeys(problems)))
    return settings


@dataclass(frozen=True, slots=True)
class _Collected:
    top: Layer
    tables: Mapping[str, Layer]
    oversight: Mapping[str, BaseModel]
    origins: Mapping[str, Origin]
    folder: Path


_DERIVED = {"credentials", "embedded_broker", "remotes", "provenance", "source_secrets", WEBHOOK_KEY, *OVERSIGHT}
NAMES = Names(
    plain=frozenset(Settings.model_fields) - _DERIVED,
    remote=frozenset(RemoteOptions.model_fields) - _DERIVED,
    tables=frozenset(OVERSIGHT),
)


def _collect(environ: Mapping[str, str], cwd: Path, problems: list[str]) -> _Collected:
    user_home = environ.get("HOME")
    default_home = _default_home(environ)
    file = _settings_file(environ, cwd, default_home, problems)
    in_file, tables = from_file(file, NAMES, problems) if file else ({}, {})
    oversight = resolve_oversight(file, problems)
    named = variables_named([in_file, *tables.values()]) | signing_variables(oversight)
    variables = from_variables(environ, named, NAMES, problems)
    folder = file.path.parent if file else cwd
    top = merge(
        {"home": Given("home", default_home, DEFAULT)} if default_home else {},
        absolute_paths(in_file, folder, user_home),
        absolute_paths(variables, cwd, user_home),
    )
    remotes = {name: absolute_paths(table, folder, user_home) for name, table in tables.items()}
    return _Collected(read_urls(top, problems), remotes, oversight, oversight_origins(file), folder)


def _default_home(environ: Mapping[str, str]) -> Path | None:
    """``coachsync`` in the user's data directory, as the XDG base directory specification has it."""
    data_home = environ.get("XDG_DATA_HOME", "")
    if data_home.startswith("/"):  # the specification has relative ones ignored
        return Path(data_home, "coachsync")
    return Path(environ["HOME"], ".local/share/coachsync") if environ.get("HOME") else None


def _settings_file(
    environ: Mapping[str, str], cwd: Path, default_home: Path | None, problems: list[str]
) -> SettingsFile | None:
    """``$COACHSYNC_CONFIG``, or ``coachsync.toml`` in the working directory, or in the home."""
    explicit = environ.get(CONFIG_VARIABLE)
    home = environ.get("COACHSYNC_HOME") or default_home
    if explicit == "":
        problems.append(f"{CONFIG_VARIABLE} is empty; give it a value or unset it")
    try:
        path = find_settings_file(cwd / explicit if explicit else None, (cwd, *([cwd / home] if home else [])))
        return read_settings_file(path) if path else None
    except ValueError as error:
        problems.append(f"{CONFIG_VARIABLE} = {error}" if explicit else str(error))
        return None


def _resolve(given: _Collected, environ: Mapping[str, str], *, terminal: bool, problems: list[str]) -> Settings | None:
    top = {**_derived_defaults(given.top, terminal=terminal), **given.top}
    if "home" not in top:
        problems.append("COACHSYNC_HOME is not set and there is no HOME to derive it from; give a directory")
        return None
    plain = without_secrets(top)
    derived = {
        "credentials": resolve_credentials(top, environ, problems),
        WEBHOOK_KEY: resolve_webhook_key(top, environ, problems),
        "embedded_broker": "broker_url" not in given.top,
        "provenance": _provenance(top, given),
        "source_secrets": resolve_source_secrets(given.oversight, environ, given.folder, problems),
        **given.oversight,
    }
    settings = validated(Settings, plain, derived, problems)
    allow_http = settings is None or settings.allow_http
    check_access("the default remote", top, allow_http=allow_http, problems=problems)
    shared = {key: value for key, value in plain.items() if key in NAMES.remote and key != "api_url"}
    remotes = resolve_tables(given.tables, shared, environ, allow_http=allow_http, problems=problems)
    return settings and settings.model_copy(update={"remotes": remotes})


def _derived_defaults(top: Layer, *, terminal: bool) -> dict[str, Given]:
    """The defaults that depend on the home or on who reads the log."""
    values: dict[str, object] = {"log_format": LogFormat.HUMAN if terminal else LogFormat.JSON}
    home = top["home"].value if "home" in top else None
    if isinstance(home, Path):
        values["database_url"] = sqlite_url(home / "coachsync.db")
        values["broker_url"] = socket_url(socket_path(home, os.getuid()))
    return {key: Given(key, value, DEFAULT) for key, value in values.items()}


def _provenance(top: Layer, given: _Collected) -> Mapping[str, Origin]:
    origins = dict.fromkeys(sorted(NAMES.plain), DEFAULT)
    origins |= {slot(key): one.origin for key, one in top.items()}
    for name, table in given.tables.items():
        origins |= {f"remotes.{name}.{slot(key)}": one.origin for key, one in table.items()}
    return MappingProxyType({**origins, **given.origins})
