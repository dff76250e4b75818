"""Events that somebody else keeps until we say that we have them: a stream's entries, a queue's messages.

Nobody reads an answer there. So what is no event is set aside with the reason, what the guard stops is held, and all
of it is in the transaction after which the delivery is acknowledged.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from worker.configuration.oversight import GuardOptions
from worker.intake.printable import printable
from worker.intake.read_events import in_one_line, read_event_text
from worker.intake.roster_events import EventsRefused, Submission, accept_events
from worker.intake.roster_folding import Event
from worker.log import get_logger
from worker.store.engine import Database, is_passing
from worker.store.roster import Unreadable

PAGE = 5_000
_LONGEST_NAME = 255
_LONGEST_REASON = 300
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """``subject`` is what a person is shown who is asked for approval."""

    name: str
    subject: str


@dataclass(frozen=True, slots=True)
class Entry:
    """``name`` is the same when it is delivered again. ``reason``: why it cannot be read, where that is known."""

    name: str
    content: str | bytes
    reason: str = ""


def entries_of(message: str, given: Sequence[object], named: Mapping[str, object]) -> list[Entry]:
    """The events of one message: a list of them, or one, as its only argument."""
    arguments = [*given, *named.values()]
    if len(arguments) != 1 or not named.keys() <= {"events"}:
        content = json.dumps([given, named], ensure_ascii=False, default=repr)
        return [Entry(message, content, "the task takes one argument: a list of events")]
    (events,) = arguments
    listed = events if isinstance(events, list) else [events]
    return [
        Entry(f"{message}/{number}", json.dumps(event, ensure_ascii=False, default=repr))
        for number, event in enumerate(listed)
    ]


def deliver(database: Database, entries: Sequence[Entry], door: Door, guard: GuardOptions) -> None:
    """When this returns, each entry is taken, was before, is held, or is set aside, and that is committed.

    Raises the database's error where it stays away.
    """
    for start in range(0, len(entries), PAGE):
        _deliver(database, entries[start : start + PAGE], door, guard)


def _deliver(database: Database, entries: Sequence[Entry], door: Door, guard: GuardOptions) -> None:
    """What none of us has foreseen is looked for one by one, and costs its neighbours nothing."""
    try:
        _take(database, entries, door, guard)
    except Exception as error:
        if _is_the_store_s(error) or (len(entries) == 1 and entries[0].reason):
            raise
        if len(entries) == 1:
            _log.exception("roster_event_broke", door=door.name, entry=printable(entries[0].name, _LONGEST_NAME))
            cause = printable(repr(getattr(error, "orig", error)), _LONGEST_REASON)
            entries = [replace(entries[0], reason=f"it could not be taken: {cause}")]
    else:
        return
    for entry in entries:
        _deliver(database, [entry], door, guard)


def _is_the_store_s(error: Exception) -> bool:
    """Whether the same events may be taken another time."""
    return is_passing(error) if isinstance(error, DBAPIError) else isinstance(error, SQLAlchemyError)


def _take(database: Database, entries: Sequence[Entry], door: Door, guard: GuardOptions) -> None:
    good, aside = _read(entries)
    try:
        receipt = accept_events(database, _submission(good, aside, door), guard)
    except EventsRefused as refused:
        reasons = {error.index: f"{error.field}: {error.reason}" for error in refused.errors}
        wrong = {good[index][0].name: reason for index, reason in reasons.items()}
        _take(database, [replace(one, reason=wrong.get(one.name, one.reason)) for one in entries], door, guard)
        return
    _log.info(
        "roster_events_taken",
        door=door.name,
        accepted=receipt.accepted,
        duplicates=receipt.duplicates,
        aside=len(aside),
    )
    if receipt.held:
        _log.error("roster_events_held", door=door.name, held=receipt.held, approval=receipt.approval_id)


def _read(entries: Sequence[Entry]) -> tuple[list[tuple[Entry, Event]], list[Unreadable]]:
    good: list[tuple[Entry, Event]] = []
    aside: list[Unreadable] = []
    for entry in entries:
        read = () if entry.reason else read_event_text(entry.content)
        if isinstance(read, tuple):
            content = (
                entry.content if isinstance(entry.content, str) else entry.content.decode(errors="backslashreplace")
            )
            reason = entry.reason or in_one_line(read)
            aside.append(Unreadable(printable(entry.name, _LONGEST_NAME), content, reason))
        else:
            good.append((entry, read))
    return good, aside


def _submission(good: Sequence[tuple[Entry, Event]], aside: Sequence[Unreadable], door: Door) -> Submission:
    return Submission([event for _, event in good], door.name, door.subject, hold=True, aside=aside)
