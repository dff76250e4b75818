"""One event of the roster, as JSON or as Python has it: the event, or what is wrong with it, field by field."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from schemas.roster import ChangedEvent, JoinedEvent, LeftEvent, MovedEvent, RosterEventType, SnapshotEvent
from worker.intake.json_text import BrokenJson, parse_json
from worker.intake.roster_folding import Event
from worker.intake.row_errors import FieldError, errors_of, value_text

_MODELS: Mapping[str, type[BaseModel]] = {
    RosterEventType.JOINED: JoinedEvent,
    RosterEventType.LEFT: LeftEvent,
    RosterEventType.MOVED: MovedEvent,
    RosterEventType.CHANGED: ChangedEvent,
    RosterEventType.SNAPSHOT: SnapshotEvent,
}
Errors = tuple[FieldError, ...]


def read_event(given: object) -> Event | Errors:
    """Of what JSON or Python has."""
    if isinstance(given, Event):
        return given
    if not isinstance(given, Mapping):
        return (FieldError("", "an event is one JSON object", value_text(given)),)
    kind = given.get("type")
    model = _MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return (_no_type(given),)
    try:
        return cast("Event", model.model_validate(given))
    except ValidationError as error:
        return errors_of(error, given)


def read_event_text(text: str | bytes) -> Event | Errors:
    try:
        return read_event(parse_json(text if isinstance(text, str) else text.decode(), keep_null=True))
    except UnicodeDecodeError as error:
        return (FieldError("", f"not UTF-8 at byte {error.start + 1}"),)
    except BrokenJson as broken:
        return (FieldError("", str(broken)),)


def in_one_line(errors: Sequence[FieldError]) -> str:
    return "; ".join(f"{error.field}: {error.reason}" if error.field else error.reason for error in errors)


def _no_type(given: Mapping[Any, Any]) -> FieldError:
    if "type" not in given:
        return FieldError("type", "required, but nothing is given")
    return FieldError("type", f"must be one of {', '.join(_MODELS)}", value_text(given["type"]))
