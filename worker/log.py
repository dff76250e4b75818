"""The log: a stable action first, facts as fields, secrets never.

    log = get_logger(__name__)
    with log_context(chunk=chunk.id):
        log.info("chunk_done", jobs=200)

Other libraries' loggers (Celery's, above all) go through the same handler and the same redaction.
"""

import logging
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import MappingProxyType
from typing import TextIO
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from worker.configuration.credentials import ApiKey, BearerToken, ClientCredentials, Credentials, NoCredentials
from worker.configuration.redaction import Redactor
from worker.configuration.settings import Settings
from worker.configuration.values import LogFormat, LogLevel
from worker.log_format import HumanFormatter, JsonFormatter

_CONTEXT: ContextVar[Mapping[str, object]] = ContextVar("log_context", default=MappingProxyType({}))
# What these say on INFO, once a request or a message, our own actions say better.
_TALKATIVE = (
    "httpx",
    "httpcore",
    "aiohttp.access",
    "celery.worker.strategy",
    "celery.app.trace",
    "alembic",
    "uvicorn.error",
)


class Log:
    """``action`` is stable and documented; ``message`` is for people, and may change."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def info(self, action: str, /, *, message: str = "", **fields: object) -> None:
        self._write(logging.INFO, action, message, fields)

    def warning(self, action: str, /, *, message: str = "", **fields: object) -> None:
        self._write(logging.WARNING, action, message, fields)

    def error(self, action: str, /, *, message: str = "", **fields: object) -> None:
        self._write(logging.ERROR, action, message, fields)

    def exception(self, action: str, /, *, message: str = "", **fields: object) -> None:
        """As ``error``, with the exception that is being handled."""
        self._write(logging.ERROR, action, message, fields, trace=True)

    def _write(
        self, level: int, action: str, message: str, fields: Mapping[str, object], *, trace: bool = False
    ) -> None:
        if self._logger.isEnabledFor(level):
            extra = {"action": action, "fields": fields}
            self._logger.log(level, "%s", message, extra=extra, exc_info=trace, stacklevel=3)


def get_logger(name: str) -> Log:
    return Log(logging.getLogger(name))


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Every record written within, by whomever, has these fields; a record's own win."""
    token = _CONTEXT.set({**_CONTEXT.get(), **fields})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


class LogHandler(logging.StreamHandler[TextIO]):
    """The process's one handler. Never prints a record that it could not format: that would show its secrets."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        kind = sys.exc_info()[0]
        with suppress(OSError, ValueError):
            self.stream.write(f"a log record of {record.name} is lost: {kind.__name__ if kind else 'unknown'}\n")


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all records of this process to ``stream`` (standard error) through one handler, redacted.

    Celery sets up its own unless this is connected to its ``setup_logging`` signal.
    """
    redact = Redactor(known_secrets(settings))
    handler = LogHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(redact) if settings.log_format is LogFormat.JSON else HumanFormatter(redact))
    handler.addFilter(_with_context)
    root = logging.getLogger()
    root.handlers = [other for other in root.handlers if not isinstance(other, LogHandler)] + [handler]
    root.setLevel(settings.log_level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.NOTSET if settings.log_level is LogLevel.DEBUG else logging.WARNING)
    logging.captureWarnings(capture=True)


def _with_context(record: logging.LogRecord) -> bool:
    record.fields = {**_CONTEXT.get(), **getattr(record, "fields", {})}
    return True


def known_secrets(settings: Settings) -> frozenset[str]:
    """Each secret of the settings in the clear, for the redaction alone."""
    urls = (settings.database_url, settings.broker_url)
    passwords = [urlsplit(url.get_secret_value()).password or "" for url in urls]
    keys = settings.webhook_key.get_secret_value().split(",") if settings.webhook_key else []
    every = [settings.credentials, *(remote.credentials for remote in settings.remotes)]
    return frozenset(
        {secret.get_secret_value() for credentials in every for secret in _secrets_in(credentials)}
        | set(keys)
        | {secret.get_secret_value() for secret in settings.source_secrets.values()}
        | {form for password in passwords for form in (password, unquote(password)) if form}
    )


def _secrets_in(credentials: Credentials) -> tuple[SecretStr, ...]:
    match credentials:
        case NoCredentials():
            return ()
        case BearerToken(secret) | ApiKey(secret):
            return (secret,)
        case ClientCredentials(client_id=name, client_secret=secret):
            together = b64encode(f"{name}:{secret.get_secret_value()}".encode()).decode()
            return (secret, SecretStr(together))  # as HTTP's Basic sends them
