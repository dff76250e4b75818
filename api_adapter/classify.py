"""What one exchange came to, decided on the wire status alone. Pure and total: any status, any headers, any bytes.

The table is the contract's (Retries): what certainly did not happen may be sent again as it is; a write that left and
brought nothing certain back is ambiguous; what the remote refuses is final. Only UpdateTarget and CreateTarget can be
ambiguous: a read, and a delete, may always be sent again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from api_adapter.error_body import one_line, page_text, read_error_body
from api_adapter.outcomes import (
    Ambiguous,
    Answered,
    Exchange,
    Missing,
    Operation,
    Outcome,
    Refused,
    Throttled,
    Trouble,
    Unauthorized,
    Unavailable,
    Unsupported,
)

T = TypeVar("T")

_WRITES = (Operation.UPDATE_TARGET, Operation.CREATE_TARGET)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came over the wire; ``body`` may be cut off. Headers are looked up by lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoReply:
    """No status came. ``left`` is False only where no byte of the request can have reached the remote."""

    left: bool
    message: str


def classify(exchange: Exchange, reply: Reply | NoReply, read: Callable[[bytes], T]) -> Outcome[T]:
    """``read`` takes the body of a 2xx to its value, and raises ``ValueError`` where it cannot be understood."""
    if isinstance(reply, NoReply):
        return _unsettled(exchange, reply.message) if reply.left else Unavailable(exchange, None, reply.message)
    if not 200 <= reply.status < 300:  # noqa: PLR2004 - the 2xx of HTTP
        return _trouble(exchange, reply)
    try:
        return Answered(exchange, read(reply.body))
    except ValueError as error:
        return _unsettled(
            exchange, f"{reply.status}, but the answer cannot be understood: {_garbled(error, reply.body)}"
        )


def _trouble(exchange: Exchange, reply: Reply) -> Trouble:  # noqa: PLR0911 - one return a row of the table
    error = read_error_body(reply.status, reply.body)
    creates = exchange.operation is Operation.CREATE_TARGET
    match reply.status:
        case 429:
            return Throttled(exchange, exchange.retry_after, error.message)
        case 503 if not creates:
            return Unavailable(exchange, exchange.retry_after, error.message)
        case 401 | 403 | 407:
            return Unauthorized(exchange, error.message)
        case 404 | 410:
            return Missing(exchange, error.message)
        case 405 | 501:
            return Unsupported(exchange, error.message)
        case 408 | 425 | 499:
            return _unsettled(exchange, error.message)
        case 409 if not creates:  # ABORTED, or the same key in flight; on a create it is ALREADY_EXISTS
            return _unsettled(exchange, error.message)
        case status if 400 <= status < 500:  # noqa: PLR2004 - the 4xx of HTTP
            return Refused(exchange, error.code, error.message)
        case status if 300 <= status < 400:  # noqa: PLR2004 - the 3xx of HTTP
            return Unavailable(exchange, exchange.retry_after, _redirect(reply))  # a login or a maintenance page
        case _:
            return _unsettled(exchange, error.message)


def _unsettled(exchange: Exchange, message: str) -> Ambiguous | Unavailable:
    if exchange.operation in _WRITES:
        return Ambiguous(exchange, message)
    return Unavailable(exchange, exchange.retry_after, message)


def _redirect(reply: Reply) -> str:
    """Names the host alone: a location's path and query may carry a session."""
    try:
        host = urlsplit(reply.headers.get("location", "")).hostname
    except ValueError:
        host = None
    return one_line(f"redirects are not followed; this one leads to {host or 'the same host, or nowhere'}")


def _garbled(error: ValueError, body: bytes) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        why = ".".join(str(step) for step in (*first["loc"], "")) + " " + first["msg"]
    else:
        why = str(error)
    return f"{one_line(why, most=140)} (it reads {one_line(page_text(body), most=100)!r})"
