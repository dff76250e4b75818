"""How a remote lets us in: a bearer token, an API key, OAuth client credentials, or (loopback only) nothing.

A secret is never written into ``coachsync.toml``: it comes by the environment or by a file that
not everyone may read.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

MAX_SECRET_BYTES = 16_384
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_MOUNTED_SECRETS = ("/run/secrets/", "/var/run/secrets/")


@dataclass(frozen=True, slots=True)
class NoCredentials:
    """A loopback remote without authentication, such as the sandbox."""


@dataclass(frozen=True, slots=True)
class BearerToken:
    token: SecretStr


@dataclass(frozen=True, slots=True)
class ApiKey:
    key: SecretStr


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """OAuth 2 client credentials: an access token is fetched at ``token_url`` and renewed before it ends."""

    client_id: str
    client_secret: SecretStr
    token_url: str


Credentials = NoCredentials | BearerToken | ApiKey | ClientCredentials


def check_secret(text: str) -> SecretStr:
    """Take what can stand in a header and nothing else; the ``ValueError`` never shows the secret."""
    if not text:
        raise ValueError("is empty; give the secret or leave the setting out")
    if "\n" in text or "\r" in text:
        raise ValueError("has a line break inside; give the secret alone, on one line")
    if not text.isascii():
        raise ValueError("has characters outside ASCII; a secret that goes into a header has none")
    if not _VISIBLE_ASCII.fullmatch(text):
        raise ValueError("has a space or control character in it; give the secret alone")
    return SecretStr(text)


def read_secret_file(path: Path) -> SecretStr:
    """The secret in ``path`` without the line break at its end; ``ValueError`` where it cannot or must not be used."""
    try:
        with path.open("rb") as file:
            _refuse_unsafe(path, os.fstat(file.fileno()))
            content = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); check the path and its owner") from None
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"{path} is longer than {MAX_SECRET_BYTES} bytes; that is no secret")
    try:
        return check_secret(content.decode("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text; give the secret as plain ASCII") from None
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None


def _refuse_unsafe(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is no regular file; name the file that holds the secret")
    # Docker mounts its secrets 0444 inside a container of ours: who else may read is the runtime's affair there.
    if status.st_mode & stat.S_IROTH and not str(path).startswith(_MOUNTED_SECRETS):
        mode = stat.S_IMODE(status.st_mode)
        raise ValueError(f"{path} is readable by everyone (mode {mode:03o}); run: chmod 600 '{path}'")
