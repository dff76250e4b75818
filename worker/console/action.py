"""What an action is: looked at before it is done, and told afterwards.

Refused   it cannot be done (any more); its line says why.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlmodel import Session

from worker.console.desk import Desk

LONGEST_WHY = 200


class Refused(Exception):  # noqa: N818 - the house names what happened
    """Its line says why nothing was done."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would be done: ``sentences`` say it; ``place`` is the page that one comes from and goes back to.

    ``why_not`` is why it cannot be done now. ``asks_why``: a reason may be given.
    """

    subject: str
    place: str
    sentences: tuple[str, ...]
    why_not: str | None = None
    asks_why: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it. ``secret`` is shown this once and kept nowhere in the clear; ``more``: again goes on."""

    words: str
    secret: str | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """``on`` is what it is done to, ``why`` the person's reason; long work goes on while it is ``in_time``."""

    on: str
    why: str | None
    in_time: Callable[[], bool]
    random_bytes: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Action:
    title: str
    look: Callable[[Desk, Session, str], Prospect]
    act: Callable[[Desk, Order], Told]
    danger: bool = False
