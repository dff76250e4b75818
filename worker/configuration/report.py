"""What is in force and where it comes from, for ``coachsync config``. Secrets are masked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel, SecretStr

from worker.configuration.credentials import ApiKey, BearerToken, ClientCredentials, Credentials, NoCredentials
from worker.configuration.oversight import RosterColumns
from worker.configuration.redaction import mask_secret, mask_url
from worker.configuration.remotes import Remote, RemoteOptions
from worker.configuration.settings import Settings
from worker.configuration.sources import DEFAULT, Origin
from worker.configuration.values import shown_duration
from worker.counts import counted

_PROCESS = (
    "home",
    "database_url",
    "broker_url",
    "log_format",
    "log_level",
    "retention_days",
    "allow_http",
    "gateway_listen",
)
_TABLES = ("roster", "guard", "reconcile", "webhooks", "gateway")
_REMOTE = ("api_url", "rate_limit", "max_in_flight", "request_timeout", "idempotency", "key_memory", "ca_bundle")


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    value: str
    origin: Origin


def describe(settings: Settings) -> tuple[Row, ...]:
    """Every setting in force, in a fixed order: the process, the remotes, the roster and what follows from it."""
    return tuple(_rows(settings))


def _rows(settings: Settings) -> Iterator[Row]:
    origins = settings.provenance
    for name in _PROCESS:
        yield Row(name, _shown(getattr(settings, name)), origins.get(name, DEFAULT))
    yield from _remote_rows("", settings, settings)
    for remote in settings.remotes:
        prefix = f"remotes.{remote.name}."
        yield Row(f"{prefix}customers", ", ".join(remote.customers), origins.get(f"{prefix}customers", DEFAULT))
        yield from _remote_rows(prefix, remote, settings)
    yield from _oversight_rows(settings)
    if settings.webhook_key:
        yield Row("webhook_key", _masked(settings.webhook_key), settings.provenance.get("webhook_key", DEFAULT))


def _remote_rows(prefix: str, remote: Remote | RemoteOptions, settings: Settings) -> Iterator[Row]:
    """What a table leaves out it has from the top level, and so has its origin."""
    origins = settings.provenance
    for name in _REMOTE:
        origin = origins.get(f"{prefix}{name}", origins.get(name, DEFAULT))
        yield Row(f"{prefix}{name}", _shown(getattr(remote, name)), origin)
    for name, value in _credential_rows(remote.credentials):
        yield Row(f"{prefix}{name}", value, origins.get(f"{prefix}{name}", DEFAULT))


def _oversight_rows(settings: Settings) -> Iterator[Row]:
    origins = settings.provenance
    tables: dict[str, BaseModel] = {table: getattr(settings, table) for table in _TABLES}
    for table, options in tables.items():
        for name, value in options:
            yield Row(f"{table}.{name}", _shown(value), origins.get(f"{table}.{name}", DEFAULT))
    policy = settings.policy
    rules = f"{counted(len(policy.quotas), 'quota rule')}, {counted(len(policy.targets), 'target rule')}"
    yield Row("policy", rules, origins.get("policy", DEFAULT))


def _credential_rows(credentials: Credentials) -> tuple[tuple[str, str], ...]:
    match credentials:
        case NoCredentials():
            return ()
        case BearerToken(token):
            return (("api_token", _masked(token)),)
        case ApiKey(key):
            return (("api_key", _masked(key)),)
        case ClientCredentials(client_id, client_secret, token_url):
            return (
                ("oauth_client_id", client_id),
                ("oauth_client_secret", _masked(client_secret)),
                ("oauth_token_url", token_url),
            )


def _masked(secret: SecretStr) -> str:
    return mask_secret(secret.get_secret_value())


def _shown(value: object) -> str:  # noqa: PLR0911 - one arm a kind
    match value:
        case bool():
            return str(value).lower()
        case timedelta():
            return shown_duration(value)
        case RosterColumns():
            return ", ".join(f"{field} in {column!r}" for field, column in value if column is not None)
        case Mapping():
            return ", ".join(f"{name} {_shown(one)}" for name, one in value.items())
        case tuple():
            return ", ".join(map(_shown, value))
        case SecretStr():
            return mask_url(value.get_secret_value())
        case _:
            return "" if value is None else mask_url(str(value))
