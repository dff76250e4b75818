"""How a log record is written: one line for people, or one JSON object for machines. Both are redacted."""

import json
import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from schemas.instants import format_instant
from worker.configuration.redaction import MASK, Redactor, names_a_secret

_OURS = ("ts", "level", "logger", "action", "message", "exception")
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@+-~•%")
# What would begin another line or speak to the terminal; a remote's words may hold any of it.
_CONTROL = {code: f"\\u{code:04x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


class LogFormatter(logging.Formatter):
    """What both forms share: the parts of a record, redacted."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def _time(self, record: logging.LogRecord) -> str:
        instant = datetime.fromtimestamp(record.created, UTC)
        return format_instant(instant.replace(microsecond=instant.microsecond // 1000 * 1000))

    def _action(self, record: logging.LogRecord) -> str:
        return str(getattr(record, "action", ""))

    def _message(self, record: logging.LogRecord) -> str:
        return self._redact(record.getMessage())

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        return self._plain_fields(getattr(record, "fields", {}))

    def _trace(self, record: logging.LogRecord) -> str:
        parts = [self.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
        parts += [self.formatStack(record.stack_info)] if record.stack_info else []
        return self._redact("\n".join(parts))

    def _plain_fields(self, fields: Mapping[object, object]) -> dict[str, Any]:
        named = ((self._redact(str(key)), value) for key, value in fields.items())
        return {name: MASK if names_a_secret(name) else self._plain(value) for name, value in named}

    def _plain(self, value: object) -> Any:
        """As JSON has it; durations are seconds."""
        match value:
            case Mapping():
                return self._plain_fields(value)
            case list() | tuple() | set() | frozenset():
                return [self._plain(each) for each in value]
            case _:
                scalar = _scalar(value)
                return self._redact(scalar) if isinstance(scalar, str) else scalar


def _scalar(value: object) -> str | float | bool | None:
    match value:
        case Enum():
            return _scalar(value.value)
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case timedelta():
            return round(value.total_seconds(), 6)
        case datetime() if value.tzinfo:
            return format_instant(value)
        case _:
            return str(value)  # of a SecretStr, that is stars


class JsonFormatter(LogFormatter):
    """A field that is named like a part of ours gets a ``_`` at its end."""

    def format(self, record: logging.LogRecord) -> str:
        parts = {
            "ts": self._time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "action": self._action(record),
            "message": self._message(record),
            "exception": self._trace(record),
        }
        fields = {f"{name}_" if name in _OURS else name: value for name, value in self._fields(record).items()}
        line = {name: text for name, text in parts.items() if text} | fields
        return json.dumps(line, ensure_ascii=False).translate(_CONTROL)


class HumanFormatter(LogFormatter):
    """``2026-01-31T08:00:00.123Z INFO  worker.tasks chunk_done jobs=200``; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{self._time(record)} {record.levelname:<7} {record.name}"
        fields = [f"{name}={_field(value)}" for name, value in self._fields(record).items()]
        line = " ".join(filter(None, [head, self._action(record), self._message(record), *fields]))
        trace = self._trace(record)
        return line.translate(_CONTROL) + (f"\n{trace}" if trace else "")


def _field(value: object) -> str:
    """Bare where a reader cannot misread it; JSON elsewhere."""
    if isinstance(value, str) and value and _BARE.issuperset(value):
        return value
    return json.dumps(value, ensure_ascii=False)
