"""The remote's words out of an error body: JSON in one of several shapes, a proxy's HTML, garbage. Pure.

Seen: google.rpc.Status `{code, message, details}`; `{code, httpStatus, message, status}`; `{error, code, details}`;
`{error: {code, message, status}}`; `{error, error_description}` (OAuth 2). Nothing here decides anything.
"""

import html
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic_core import from_json

LONGEST_MESSAGE = 300

_LONGEST_TEXT = 8192  # of a page, this much is looked at
_CODE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_TITLE = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE)
_UNSEEN = re.compile(r"(?is)<(script|style)\b.*?(</\1>|$)|<[^>]*(>|$)")
_GRPC_CODES = (  # google.rpc.Code, by number
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """``code`` is the remote's name for the error, or `HTTP_{status}`; ``message`` is fit for one line of a log."""

    code: str
    message: str


def read_error_body(status: int, body: bytes) -> ErrorBody:
    document = _json_object(body)
    if document is None:
        return ErrorBody(f"HTTP_{status}", one_line(page_text(body)) or _phrase(status))
    inner = document.get("error")
    source = inner if isinstance(inner, dict) else document
    return ErrorBody(_code(source) or f"HTTP_{status}", _message(source) or _phrase(status))


def one_line(text: str, most: int = LONGEST_MESSAGE) -> str:
    """Without control and invisible characters (terminals and logs obey them), white space folded, cut to ``most``."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text[: most * 4]).split())
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def page_text(body: bytes) -> str:
    """A page's title says it best; a page without one is shown without its tags."""
    text = body[:_LONGEST_TEXT].decode(errors="replace")
    if not text.lstrip("\ufeff \t\r\n").startswith("<"):
        return text
    title = _TITLE.search(text)
    return html.unescape(title[1] if title and title[1].strip() else _UNSEEN.sub(" ", text))


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        document = from_json(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _code(source: dict[str, Any]) -> str:
    for value in (source.get("status"), source.get("code")):
        if isinstance(value, str) and _CODE_NAME.fullmatch(value):
            return value
        if type(value) is int and 0 < value < len(_GRPC_CODES):
            return _GRPC_CODES[value]
    return ""


def _message(source: dict[str, Any]) -> str:
    for key in ("message", "error_description", "error"):
        value = source.get(key)
        if isinstance(value, str) and (line := one_line(value)):
            return line
    return ""


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"
