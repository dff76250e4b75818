"""CloudEvents 1.0 as HTTP carries them: structured, in a batch, or binary (attributes in ``ce-`` headers).

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import Headers

from worker.gateway.bodies import unsupported
from worker.gateway.problems import Problem
from worker.gateway.row_problems import pointer
from worker.intake.json_text import BrokenJson, parse_json
from worker.intake.read_events import read_event
from worker.intake.roster_events import MOST_EVENTS, EventError, EventsRefused
from worker.intake.roster_folding import Event

STRUCTURED, BATCH, JSON = "application/cloudevents+json", "application/cloudevents-batch+json", "application/json"
TAKEN = (STRUCTURED, BATCH, JSON)
_PREFIX = "ce-"
MOST_ERRORS = 100


@dataclass(frozen=True, slots=True)
class Given:
    """``mode`` says where each event stands in the request."""

    mode: str
    events: Sequence[Event]


def events_of(kind: str, headers: Headers, body: bytes) -> Given:
    """All of them, or none. Raises ``Problem`` that names what is wrong by its place."""
    mode, documents = _documents(kind, headers, body)
    if len(documents) > MOST_EVENTS:
        words = f"at most {MOST_EVENTS:,} events are taken at once; split them"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", words, limit=MOST_EVENTS)
    events: list[Event] = []
    errors: list[EventError] = []
    for index, one in enumerate(documents):
        read = read_event(one)
        if isinstance(read, tuple):
            errors += [EventError(index, error.field, error.reason) for error in read]
        else:
            events.append(read)
    if errors:
        raise refused(mode, EventsRefused(errors))
    return Given(mode, events)


def refused(mode: str, events: EventsRefused) -> Problem:
    errors = [{**_place(mode, one), "reason": one.reason} for one in events.errors[:MOST_ERRORS]]
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-events",
        f"{events}; nothing was written",
        errors=errors,
    )


def _documents(kind: str, headers: Headers, body: bytes) -> tuple[str, list[Any]]:
    if kind not in TAKEN:
        raise unsupported(kind, TAKEN)
    content = _json(body)
    if kind == JSON and f"{_PREFIX}specversion" in headers:
        attributes = {
            name.removeprefix(_PREFIX): unquote(value) for name, value in headers.items() if name.startswith(_PREFIX)
        }
        return JSON, [attributes | {"datacontenttype": JSON, "data": content}]
    if kind == BATCH or (kind == JSON and isinstance(content, list)):
        if not isinstance(content, list):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable-body", "a batch is an array of events")
        return BATCH, content
    return STRUCTURED, [content]


def _json(body: bytes) -> object:
    try:
        return parse_json(body.decode("utf-8-sig"), keep_null=True)
    except UnicodeDecodeError as error:
        words = f"not UTF-8 at byte {error.start + 1}"
    except BrokenJson as broken:
        words = str(broken)
    raise Problem(HTTPStatus.BAD_REQUEST, "malformed-json", words)


def _place(mode: str, error: EventError) -> dict[str, Any]:
    """In binary mode the data is the whole body, and the attributes are headers."""
    if mode == BATCH:
        return {"pointer": pointer(f"/{error.index}", error.field)}
    if mode == STRUCTURED:
        return {"pointer": pointer("", error.field)}
    if error.field == "data" or error.field.startswith(("data.", "data[")):
        return {"pointer": pointer("", error.field.removeprefix("data"))}
    return {"header": f"{_PREFIX}{error.field}"}
