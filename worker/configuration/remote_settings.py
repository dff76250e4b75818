"""From what was given for the remotes to the remotes: one way of authentication each, no customer served twice."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import SecretStr

from worker.configuration.credentials import (
    ApiKey,
    BearerToken,
    ClientCredentials,
    Credentials,
    NoCredentials,
    check_secret,
    read_secret_file,
)
from worker.configuration.problems import shown, validated
from worker.configuration.remotes import Remote, RemoteTable, check_remote_name
from worker.configuration.sources import OAUTH_TEXTS, REMOTE_SECRETS, WEBHOOK_KEY, Given, Layer, slot
from worker.configuration.values import check_api_url, is_loopback

CREDENTIAL_SLOTS = frozenset({*REMOTE_SECRETS, *OAUTH_TEXTS})
SHORTEST_WEBHOOK_KEY = 32  # characters
_OAUTH = ("oauth_client_id", "oauth_client_secret", "oauth_token_url")


def resolve_tables(
    tables: Mapping[str, Layer], shared: Layer, environ: Mapping[str, str], *, allow_http: bool, problems: list[str]
) -> tuple[Remote, ...]:
    """The remotes of the ``[remotes.NAME]`` tables. What a table leaves out it takes from ``shared``."""
    found = []
    for name, table in tables.items():
        remote = _resolve_table(name, table, shared, environ, problems)
        check_access(f"remotes.{name}", table, allow_http=allow_http, problems=problems)
        found += [remote] if remote else []
    _refuse_overlaps(found, problems)
    return tuple(found)


def _resolve_table(
    name: str, table: Layer, shared: Layer, environ: Mapping[str, str], problems: list[str]
) -> Remote | None:
    prefix = f"remotes.{name}."
    problems.extend(check_remote_name(name))
    credentials = resolve_credentials(table, environ, problems)
    plain = {**shared, **without_secrets(table)}
    options = validated(RemoteTable, plain, {"credentials": credentials}, problems, prefix)
    if "api_url" not in table:
        problems.append(f"{prefix}api_url is missing; give the remote's base URL")
    return options.remote(name, options.customers) if options else None


def without_secrets(layer: Layer) -> dict[str, Given]:
    return {key: given for key, given in layer.items() if slot(key) not in {*CREDENTIAL_SLOTS, WEBHOOK_KEY}}


def resolve_webhook_key(layer: Layer, environ: Mapping[str, str], problems: list[str]) -> SecretStr | None:
    """Keys that webhook secrets are encrypted with, the newest first, separated by commas."""
    keys = resolve_secret(WEBHOOK_KEY, layer, environ, problems)
    for number, text in enumerate(keys.get_secret_value().split(",") if keys else (), start=1):
        if len(text) < SHORTEST_WEBHOOK_KEY:
            label = next(given.label for key, given in layer.items() if slot(key) == WEBHOOK_KEY)
            problems.append(
                f"{label}: key {number} has {len(text)} characters; give {SHORTEST_WEBHOOK_KEY} or more, "
                "like what `openssl rand -base64 32` prints"
            )
    return keys


def resolve_credentials(layer: Layer, environ: Mapping[str, str], problems: list[str]) -> Credentials:
    """What the one way of authentication gives; several ways, or half a way, are problems."""
    ways = [way for way in (("api_token",), ("api_key",), _OAUTH) if _slots(layer) & set(way)]
    if len(ways) > 1:
        labels = [given.label for key, given in layer.items() if slot(key) in CREDENTIAL_SLOTS]
        problems.append(f"{' and '.join(labels)} are several ways of authentication; keep one")
    if len(ways) != 1:
        return NoCredentials()
    secrets = {name: resolve_secret(name, layer, environ, problems) for name in REMOTE_SECRETS}
    if token := secrets["api_token"]:
        return BearerToken(token)
    if key := secrets["api_key"]:
        return ApiKey(key)
    if ways[0] is _OAUTH:
        return _client_credentials(layer, secrets["oauth_client_secret"], problems)
    return NoCredentials()


def check_access(where: str, layer: Layer, *, allow_http: bool, problems: list[str]) -> None:
    """The URL and the authentication have to go together, and a secret does not travel in the clear."""
    authenticated = bool(_slots(layer) & CREDENTIAL_SLOTS)
    url = _usable_url(layer)
    if "api_url" not in layer and authenticated:
        labels = [given.label for key, given in layer.items() if slot(key) in CREDENTIAL_SLOTS]
        problems.append(f"{where} has no api_url that {' and '.join(labels)} could be for; give one")
    if url is None or is_loopback(url):
        return
    if not url.startswith("https:") and not allow_http:
        problems.append(
            f"{layer['api_url'].label} = {shown(url)} is not https; "
            "give an https URL, or set COACHSYNC_ALLOW_HTTP=true if the way there is safe"
        )
    if not authenticated:
        problems.append(
            f"{layer['api_url'].label} = {shown(url)} has no authentication; give one of api_token, api_key "
            "or the oauth_ settings (only a loopback remote does without)"
        )


def _client_credentials(layer: Layer, secret: SecretStr | None, problems: list[str]) -> Credentials:
    missing = [name for name in _OAUTH if name not in _slots(layer)]
    if missing:
        problems.append(f"{' and '.join(missing)} missing; OAuth client credentials need {', '.join(_OAUTH)}")
        return NoCredentials()
    client_id, token_url = (layer[name] for name in OAUTH_TEXTS)
    if not isinstance(client_id.value, str) or not client_id.value.isprintable() or ":" in client_id.value:
        problems.append(f"{client_id.label} = {shown(client_id.value)} is no client id; give it as the remote named it")
    url = _checked_token_url(token_url, problems)
    return ClientCredentials(str(client_id.value), secret, url) if secret and url else NoCredentials()


def _checked_token_url(given: Given, problems: list[str]) -> str | None:
    try:
        url = check_api_url(str(given.value))
    except ValueError as error:
        problems.append(f"{given.label} = {shown(given.value)} {error}")
        return None
    if not url.startswith("https:") and not is_loopback(url):
        problems.append(f"{given.label} = {shown(url)} is not https; the client secret does not travel in the clear")
    return url


def resolve_secret(name: str, layer: Layer, environ: Mapping[str, str], problems: list[str]) -> SecretStr | None:
    """The one secret that is given by this name, in whichever way; None where none is, or none that can be used."""
    forms = {key: given for key, given in layer.items() if slot(key) == name}
    if len(forms) > 1:
        labels = " and ".join(given.label for given in forms.values())
        problems.append(f"{labels} give the same secret; keep one")
    for key, given in forms.items():
        try:
            return _read(key.removeprefix(name), given.value, environ)
        except ValueError as error:
            problems.append(f"{given.label} {error}")
    return None


def _read(how: str, value: object, environ: Mapping[str, str]) -> SecretStr:
    match how, value:
        case "_file", Path():
            return read_secret_file(value)
        case "_env", str() if value in environ:
            try:
                return check_secret(environ[value])
            except ValueError as error:
                raise ValueError(f"names {value}, which {error}") from None
        case "_env", str():
            raise ValueError(f"names the variable {value!r:.80}, which is not set")
        case "", str():
            return check_secret(value)
        case _:
            raise ValueError("is no text")


def _slots(layer: Layer) -> set[str]:
    return {slot(key) for key in layer}


def _usable_url(layer: Layer) -> str | None:
    try:
        return check_api_url(str(layer["api_url"].value)) if "api_url" in layer else None
    except ValueError:
        return None


def _refuse_overlaps(remotes: Iterable[Remote], problems: list[str]) -> None:
    served: dict[str, str] = {}
    for remote in remotes:
        for customer in remote.customers:
            other = served.setdefault(customer, remote.name)
            if other != remote.name:
                problems.append(
                    f"remotes.{remote.name}.customers has {customer!r}, which remotes.{other} has too; keep one"
                )
