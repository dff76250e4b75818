"""The checks of single settings. Each raises ``ValueError`` that says what is wrong and what to give instead."""

import math
import re
import ssl
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from api_adapter.rate_limit.policy import parse_rate_limit

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_BROKER_FORMS = "redis://host:6379/0, rediss://host:6379/0 or redis+socket:///path"
_DATABASE_FORMS = "postgresql://user:password@host/name or sqlite:////absolute/path.db"
MIN_TIMEOUT = timedelta(seconds=0.1)
MAX_TIMEOUT = timedelta(seconds=30)  # a chunk has to end within its hard limit, whatever the remote does
MIN_KEY_MEMORY, KEY_MEMORY, MAX_KEY_MEMORY = timedelta(seconds=1), timedelta(hours=24), timedelta(days=365)
_SECONDS_A_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_DURATION = timedelta(days=3650)
_DURATION = re.compile(r"(\d+|\d*\.\d+) ?([smhd]?)", re.ASCII)


class LogFormat(StrEnum):
    HUMAN = "human"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Idempotency(StrEnum):
    """What an ambiguous write rests on: ``read`` looks first, ``header`` trusts the remote to honour the key."""

    READ = "read"
    HEADER = "header"


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def check_api_url(text: str) -> str:
    """An http(s) base URL without userinfo, query and fragment, and without slash at its end."""
    _refuse_gaps(text)
    parts = _split(text, "https://api.example.com")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no http(s) URL; give it like https://api.example.com")
    if "@" in parts.netloc:
        raise ValueError("has a user or password in it; give the URL alone, the secret goes into api_token or api_key")
    if "?" in text or "#" in text or "\\" in text:
        raise ValueError("has a query, fragment or backslash; give the base URL alone, like https://api.example.com")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def check_database_url(text: str) -> str:
    _refuse_gaps(text, spaces=True)
    scheme, separator, rest = text.partition("://")
    match scheme.lower():
        case _ if not separator:
            raise ValueError(f"is no database URL; give {_DATABASE_FORMS}")
        case "postgresql" | "postgres" | "postgresql+psycopg":
            if not _split(text, _DATABASE_FORMS).path.strip("/"):
                raise ValueError(f"names no database; give {_DATABASE_FORMS}")
            return f"postgresql+psycopg://{rest}"
        case "sqlite":
            # Each process has its own working directory and its own memory: only an absolute path is one database.
            if not rest.startswith("//") or not rest.strip("/"):
                raise ValueError("is no absolute path; give it like sqlite:////var/lib/coachsync/coachsync.db")
            return f"sqlite://{rest}"
        case _:
            raise ValueError(f"is of a kind that is not supported; give {_DATABASE_FORMS}")


def sqlite_url(path: Path) -> str:
    """The file as SQLAlchemy takes it: a ``?`` would begin the query, a ``%`` an escape."""
    return f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}"


def check_broker_url(text: str) -> str:
    """The URL as Celery takes it; ``unix://`` becomes ``redis+socket://``."""
    _refuse_gaps(text)
    parts = _split(text, _BROKER_FORMS)
    match parts.scheme:
        case "redis" | "rediss" if parts.hostname:
            return text
        case "redis+socket" | "unix" if not parts.hostname and len(parts.path) > 1:
            return _renamed_database(f"redis+socket{text[text.index(':') :]}", "db", "virtual_host")
        case "redis" | "rediss" | "redis+socket" | "unix":
            raise ValueError(f"is incomplete; give {_BROKER_FORMS}")
        case "amqp" | "amqps" | "pyamqp" | "sentinel":
            raise ValueError(
                f"is of a kind that is not supported: queue and limiter share one Redis or Valkey server; "
                f"give {_BROKER_FORMS}"
            )
        case _:
            raise ValueError(f"is of a kind that is not supported; give {_BROKER_FORMS}")


def redis_client_url(broker_url: str) -> str:
    """The same server as redis-py spells it: ``unix://`` with ``db`` for ``redis+socket://`` with ``virtual_host``."""
    if not broker_url.startswith("redis+socket:"):
        return broker_url
    return _renamed_database(broker_url.replace("redis+socket:", "unix:", 1), "virtual_host", "db")


def check_rate_limit(text: str) -> str:
    try:
        parse_rate_limit(text)
    except ValueError as error:
        raise ValueError(f"cannot be used: {error}") from None
    return text


def check_directory(path: Path) -> Path:
    if _CONTROL.search(str(path)):
        raise ValueError("has a control character in it; name another directory")
    if path.exists() and not path.is_dir():
        raise ValueError("is no directory; name one, or a path where one can be made")
    return path


def check_certificates(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("is no file; give the path of a PEM file with the certificates to trust")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        raise ValueError("holds no certificate; give the path of a PEM file with those to trust") from None
    return path


def _renamed_database(url: str, old: str, new: str) -> str:
    address, question, query = url.partition("?")
    renamed = [(new if key == old else key, value) for key, value in parse_qsl(query, keep_blank_values=True)]
    return f"{address}{question}{urlencode(renamed)}"


def _refuse_gaps(text: str, *, spaces: bool = False) -> None:
    """A URL library may drop a line break or a tab without a word, and read another host than a person does."""
    if (_CONTROL if spaces else _UNPRINTABLE).search(text):
        raise ValueError("has a space or control character in it; give the URL alone")


def _split(text: str, example: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.hostname
    except ValueError:
        raise ValueError(f"has no valid host or port; give it like {example}") from None
    return parts


def _texts(check: Callable[[str], str]) -> Callable[[object], object]:
    return lambda value: check(value) if isinstance(value, str) else value


def shown_duration(duration: timedelta) -> str:
    """As it can be given: in the largest unit up to hours that divides it."""
    seconds = duration / timedelta(seconds=1)
    unit = next((unit for unit in ("h", "m") if seconds and seconds % _SECONDS_A_UNIT[unit] == 0), "s")
    return f"{seconds / _SECONDS_A_UNIT[unit]:.9g}{unit}"


def duration(low: timedelta, high: timedelta) -> BeforeValidator:
    """``45s``, ``90m``, ``24h`` or ``3d``; a number alone is seconds."""

    def check(value: object) -> timedelta:
        seconds = _seconds(str(value))
        if not low.total_seconds() <= seconds <= high.total_seconds():
            bounds = f"{shown_duration(low)} to {shown_duration(high)}"
            raise ValueError(f"is no time from {bounds}; give it like 10, 45s, 90m or 24h")
        return timedelta(seconds=seconds)

    return BeforeValidator(check)


def parse_duration(text: str) -> timedelta:
    """At most ten years. Raises ``ValueError``."""
    seconds = _seconds(text)
    if not seconds <= LONGEST_DURATION.total_seconds():
        raise ValueError(
            f"{text[:40]!r} is no time up to {LONGEST_DURATION.days:,} days; give it like 45s, 90m, 24h or 3d"
        )
    return timedelta(seconds=seconds)


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _SECONDS_A_UNIT[match[2] or "s"] if match else math.nan


def whole(low: int, high: int) -> BeforeValidator:
    def check(value: object) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value), re.ASCII):
            raise ValueError(f"is no whole number; give one from {low} to {high}")
        if not low <= int(str(value)) <= high:
            raise ValueError(f"is out of bounds; give a whole number from {low} to {high}")
        return int(str(value))

    return BeforeValidator(check)


ApiUrl = Annotated[str, AfterValidator(check_api_url)]
DatabaseUrl = Annotated[SecretStr, BeforeValidator(_texts(check_database_url))]
BrokerUrl = Annotated[SecretStr, BeforeValidator(_texts(check_broker_url))]
RateLimit = Annotated[str, AfterValidator(check_rate_limit)]
RequestTimeout = Annotated[timedelta, duration(MIN_TIMEOUT, MAX_TIMEOUT)]
KeyMemory = Annotated[timedelta, duration(MIN_KEY_MEMORY, MAX_KEY_MEMORY)]
Directory = Annotated[Path, AfterValidator(check_directory)]
CertificatesFile = Annotated[Path, AfterValidator(check_certificates)]
