"""What a page is made with and of, and what it may be instead.

NotThere      there is no such thing, or not for this viewer: they are told the same.
BadInput      what was asked cannot be meant so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from schemas.ids import parse_batch_id, parse_job_id
from worker.console.fleet_watch import FleetWatch
from worker.console.viewer import Viewer
from worker.runtime import Runtime

Word = TypeVar("Word", bound=StrEnum)
PAGE = 50
MOST_DIGITS = 18  # 2**63 holds them for sure


class NotThere(Exception):  # noqa: N818 - the house names what happened
    """Its line says what is not there."""


class BadInput(Exception):  # noqa: N818 - as above
    """Its line says which field is wrong, and how it is written."""


@dataclass(frozen=True, slots=True)
class Desk:
    """``path`` are the parts of the address, ``query`` what follows its question mark."""

    runtime: Runtime
    fleet: FleetWatch
    viewer: Viewer
    path: Mapping[str, str]
    query: Mapping[str, str]

    def asked(self, name: str) -> str | None:
        """A field of the query; an empty one was not given."""
        return self.query.get(name, "").strip() or None

    def number(self, name: str) -> int | None:
        """A number that a database holds."""
        text = self.asked(name)
        return None if text is None else number_of(name, text)

    def number_in_path(self, name: str) -> int:
        return number_of(name, self.path[name])

    def batch(self, name: str) -> int | None:
        return _read(parse_batch_id, name, self.asked(name))

    def job(self, name: str) -> int | None:
        return _read(parse_job_id, name, self.asked(name))

    def one_of(self, name: str, known: type[Word]) -> Word | None:
        """The member of an enumeration that is meant."""
        text = self.asked(name)
        if text is None:
            return None
        try:
            return known(text)
        except ValueError:
            raise BadInput(f"{name}: {text[:40]!r} is none of {', '.join(known)}") from None

    @property
    def customers(self) -> frozenset[str] | None:
        return self.viewer.customers

    def sees_all_or_nothing(self, what: str) -> None:
        """Of what spans customers."""
        if not self.viewer.sees_all:
            raise NotThere(f"{what} can span customers: your token, which is for some of them, does not show them")


@dataclass(frozen=True, slots=True)
class Page:
    """``done``: a page that polls has nothing more to come."""

    template: str
    title: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    done: bool = False


def number_of(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise BadInput(f"{name}: {text[:40]!r} is no number")
    return int(text)


def _read(parse: Any, name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        found: int = parse(text)
    except ValueError as error:
        raise BadInput(f"{name}: {error}") from None
    return found
