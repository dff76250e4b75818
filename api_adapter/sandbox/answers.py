"""What goes back on the wire: status, body, headers; and the error envelope."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api_adapter.sandbox.errors import Refusal, code_of

JSON = "application/json"
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Answer:
    """``pause`` is a wait in the middle of the body, in seconds."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = JSON
    pause: float = 0.0


class Cut:
    """No answer: the connection is aborted."""


def json_answer(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    return Answer(status, _encode(value).encode(), headers)


def refusal_answer(refusal: Refusal) -> Answer:
    """A google.rpc.Status, as a stock grpc-gateway writes it."""
    code = refusal.code or code_of(refusal.status)
    envelope: Mapping[str, Any] = {"code": int(code), "message": refusal.message, "details": []}
    return json_answer(envelope, refusal.status, refusal.headers)


def wrong_method_answer(method: str, allowed: tuple[str, ...]) -> Answer:
    """A wire 405 whose body says 500 and UNKNOWN: seen in the wild."""
    envelope = {"code": 2, "httpStatus": 500, "message": f"{method} is not supported here", "status": "UNKNOWN"}
    return json_answer(envelope, 405, (("Allow", ", ".join(allowed)),))
