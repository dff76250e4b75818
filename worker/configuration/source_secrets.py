"""The secrets that sources of the roster sign with: named in coachsync.toml, given by a variable or a file."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, SecretStr

from worker.configuration.credentials import check_secret, read_secret_file
from worker.configuration.oversight import GatewayOptions, SourceOptions

SHORTEST = 24  # characters of a shared secret


def resolve_source_secrets(
    oversight: Mapping[str, BaseModel], environ: Mapping[str, str], folder: Path, problems: list[str]
) -> dict[str, SecretStr]:
    """Each source's, by its name; what cannot be used goes to ``problems``."""
    found: dict[str, SecretStr] = {}
    for name, source in _sources(oversight).items():
        try:
            found[name] = _long_enough(_read(source, environ, folder))
        except ValueError as error:
            problems.append(f"gateway.sources.{name}: {error}")
    return found


def signing_variables(oversight: Mapping[str, BaseModel]) -> frozenset[str]:
    """Those that hold a source's secret."""
    return frozenset(source.secret_env for source in _sources(oversight).values() if source.secret_env)


def _sources(oversight: Mapping[str, BaseModel]) -> Mapping[str, SourceOptions]:
    options = oversight["gateway"]
    assert isinstance(options, GatewayOptions)  # noqa: S101 - the table's model
    return options.sources


def _read(source: SourceOptions, environ: Mapping[str, str], folder: Path) -> SecretStr:
    if source.secret_file:
        return read_secret_file(Path(os.path.normpath(folder / source.secret_file)))
    variable = source.secret_env or ""
    if variable not in environ:
        raise ValueError(f"secret_env names the variable {variable!r:.80}, which is not set")
    try:
        return check_secret(environ[variable])
    except ValueError as error:
        raise ValueError(f"secret_env names {variable}, which {error}") from None


def _long_enough(secret: SecretStr) -> SecretStr:
    if (length := len(secret.get_secret_value())) < SHORTEST:
        raise ValueError(f"its secret has {length} characters; agree on one of {SHORTEST} or more")
    return secret
