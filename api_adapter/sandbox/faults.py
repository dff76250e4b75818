"""Scripted faults: which request goes wrong, and how. Pure: parse, match, count; nothing here touches a connection.

A script is a JSON list. Every entry counts the requests that match its method and path; it fires where the count,
the chance and the number of times allow; the first entry that fires has the request.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import translate
from hashlib import blake2b
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from api_adapter.sandbox.cooldown import parse_retry_after
from api_adapter.sandbox.errors import FaultScriptError


class Kind(StrEnum):
    STATUS = "status"
    DELAY = "delay"
    CUT_BEFORE = "cut_before"
    CUT_AFTER = "cut_after"
    GARBAGE = "garbage"
    HTML = "html"
    OMIT_DEFAULTS = "omit_defaults"
    SLOW_BODY = "slow_body"
    EMPTY_PAGE = "empty_page"
    WRONG_ECHO = "wrong_echo"


HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]*$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Match(_Entry):
    """``path`` is a glob, or a regular expression where it begins with ``^``. ``nth`` counts from 1."""

    method: str | None = None
    path: str | None = None
    nth: int | tuple[int, ...] | None = None
    probability: float = Field(default=1.0, ge=0, le=1)

    @field_validator("path")
    @classmethod
    def _compiles(cls, path: str | None) -> str | None:
        try:
            re.compile(path or "")
        except re.error as error:
            if path and path.startswith("^"):
                raise ValueError(f"{path!r} is no regular expression: {error}") from None
        return path

    @field_validator("nth")
    @classmethod
    def _counts_from_one(cls, nth: int | tuple[int, ...] | None) -> int | tuple[int, ...] | None:
        if nth is not None and (nth == () or min(nth if isinstance(nth, tuple) else (nth,)) < 1):
            raise ValueError("requests are counted from 1")
        return nth


class Fault(_Entry):
    """``written`` says whether the effect is written before the fault shows; where it is None the kind decides.

    ``body`` is what a status, html or garbage fault answers, and the fields that a wrong echo shows. ``delay`` is in
    seconds.
    """

    kind: Kind
    status: int | None = Field(default=None, ge=200, le=599)
    retry_after: str | None = None
    delay: float = Field(default=0.0, ge=0, le=3600)
    headers: dict[HeaderName, HeaderValue] = {}
    body: Any = None
    written: bool | None = None

    @field_validator("retry_after")
    @classmethod
    def _can_be_read(cls, value: str | None) -> str | None:
        if value is not None and parse_retry_after(value, datetime.min.replace(tzinfo=UTC)) is None:
            raise ValueError(f"{value!r} is neither seconds nor an HTTP-date; a malformed one goes into headers")
        return value

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if self.kind is Kind.STATUS and self.status is None:
            raise ValueError("kind status needs a status")
        if self.kind in (Kind.DELAY, Kind.SLOW_BODY) and not self.delay:
            raise ValueError(f"kind {self.kind} needs a delay")
        if self.kind is Kind.WRONG_ECHO and not isinstance(self.body, dict | None):
            raise ValueError("kind wrong_echo shows the fields of an object: body is none")
        if self.written is not None and self.kind not in (Kind.STATUS, Kind.HTML, Kind.GARBAGE):
            raise ValueError(f"kind {self.kind} has no choice of written; status, html and garbage have")
        return self

    @property
    def does_the_work(self) -> bool:
        """Whether the operation is carried out in spite of the fault."""
        if self.written is not None:
            return self.written
        return self.kind not in (Kind.STATUS, Kind.HTML, Kind.CUT_BEFORE)


class FaultEntry(_Entry):
    match: Match = Match()
    times: int | None = Field(default=None, ge=1)
    fault: Fault


_SCRIPT = TypeAdapter(tuple[FaultEntry, ...])


def parse_faults(script: str | bytes | Sequence[Any]) -> tuple[FaultEntry, ...]:
    """A script as JSON text or as a list; raises ``FaultScriptError`` with the first entry and field that is wrong."""
    try:
        given = json.loads(script) if isinstance(script, str | bytes) else list(script)
    except ValueError as error:
        raise FaultScriptError(f"the fault script is no JSON: {error}") from None
    if not isinstance(given, list):
        raise FaultScriptError(f"the fault script is a {type(given).__name__}; a list of entries is expected")
    try:
        return _SCRIPT.validate_python(given)
    except ValidationError as error:
        raise FaultScriptError(_first_complaint(error)) from None


def _first_complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    number, *fields = first["loc"]
    where = ".".join(str(part) for part in fields if part not in ("int", "tuple[int, ...]"))
    what = "unknown field" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    return f"fault {int(number) + 1}: {where}: {what}" if where else f"fault {int(number) + 1}: {what}"


@dataclass(slots=True)
class _Armed:
    entry: FaultEntry
    path: re.Pattern[str] | None
    nth: frozenset[int] | None
    seen: int = 0
    fired: int = 0


@dataclass(slots=True)
class Faults:
    """A script with its counts. ``seed`` fixes every draw: the n-th match of an entry is always the same draw."""

    entries: tuple[FaultEntry, ...]
    seed: int = 0
    _armed: tuple[_Armed, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._armed = tuple(_arm(entry) for entry in self.entries)

    @property
    def fired(self) -> tuple[int, ...]:
        return tuple(armed.fired for armed in self._armed)

    def next(self, method: str, path: str) -> Fault | None:
        """Count this request, and say what is to go wrong with it."""
        chosen = None
        for number, armed in enumerate(self._armed):
            if not _concerns(armed, method, path):
                continue
            armed.seen += 1
            if chosen is None and _fires(armed, draw(self.seed, number, armed.seen)):
                armed.fired += 1
                chosen = armed.entry.fault
        return chosen


def draw(seed: int, entry: int, count: int) -> float:
    """From 0 (included) to 1, the same for the same three numbers."""
    digest = blake2b(f"{seed}/{entry}/{count}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _arm(entry: FaultEntry) -> _Armed:
    path, nth = entry.match.path, entry.match.nth
    pattern = path and re.compile(path if path.startswith("^") else translate(path))
    return _Armed(entry, pattern or None, None if nth is None else frozenset(nth if isinstance(nth, tuple) else (nth,)))


def _concerns(armed: _Armed, method: str, path: str) -> bool:
    wanted = armed.entry.match.method
    if wanted is not None and wanted.upper() != method:
        return False
    return armed.path is None or armed.path.match(path) is not None


def _fires(armed: _Armed, drawn: float) -> bool:
    entry = armed.entry
    if entry.times is not None and armed.fired >= entry.times:
        return False
    if armed.nth is not None and armed.seen not in armed.nth:
        return False
    return drawn < entry.match.probability
