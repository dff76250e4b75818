"""The way in for Python producers.

    from worker.producer import enqueue_target_updates

    receipt = enqueue_target_updates([{"name": "customers/…/targets/t-1", "target": 82.5, …}], key="nightly-2026-01-31")

When a call returns, everything accepted is committed. What was refused is in the receipt, row by row, with its reason.
Events of the roster are taken all together or not at all: ``submit_roster_events``.

DatabaseNotReady  the database has no tables yet, or older or newer ones, or cannot be reached. Nothing was written.
KeyConflict       the key was used before with other content. What was accepted then stays.
GuardTripped      more than the guard allows would change; a person may approve ``approval_id``. Nothing was written.
EventsRefused     of roster events, what is wrong with each. Nothing was written.
SettingsError     the environment or ``coachsync.toml`` cannot be meant so. Nothing was written.

What the database refuses later, on the way, is the database's own error: the same call with the same key goes on.

A server may import this, call it, and fork afterwards: at a moment when no thread of it is in a call.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from schemas.jobs import QuotaRecalculation, TargetUpdate
from schemas.lanes import Lane
from worker.configuration import settings
from worker.configuration.problems import SettingsError
from worker.core.guard import GuardTripped
from worker.counts import counted
from worker.intake.accept import KeyConflict, Offered, Receipt, RowFate, Unreadable, accept, canonical
from worker.intake.read_events import read_event
from worker.intake.roster_events import (
    MOST_EVENTS,
    EventError,
    EventReceipt,
    EventsRefused,
    Submission,
    accept_events,
)
from worker.intake.roster_folding import Event
from worker.intake.row_errors import errors_of
from worker.intake.target_guard import TargetGuard
from worker.runtime import Runtime, out_of_date
from worker.store.batches import NewBatch
from worker.store.remote_urls import RemoteMoved
from worker.store.schema import NewerSchema
from worker.tracing.spans import trace_as

__all__ = [
    "DatabaseNotReady",
    "EventReceipt",
    "EventsRefused",
    "GuardTripped",
    "KeyConflict",
    "Receipt",
    "RemoteMoved",
    "SettingsError",
    "enqueue_quota_recalculations",
    "enqueue_target_updates",
    "submit_roster_events",
]


class DatabaseNotReady(Exception):  # noqa: N818 - the house names what happened
    """Its one line says what to do."""


W = TypeVar("W", TargetUpdate, QuotaRecalculation)


def enqueue_target_updates(  # noqa: PLR0913 - keyword-only: each says one thing of the batch
    updates: Iterable[TargetUpdate | Mapping[str, Any]],
    *,
    key: str | None = None,
    label: str | None = None,
    lane: Lane = Lane.BULK,
    force: bool = False,
    approve: bool = False,
    runtime: Runtime | None = None,
) -> Receipt:
    """Accept target updates as one batch.

    A mapping takes the API's field names in camelCase or snake_case. The same ``key`` with the same content returns the
    first call's receipt; with other content it raises ``KeyConflict``. ``force`` sends what the remote already has.
    ``approve``: a person knows that they change more than the guard allows; else it raises ``GuardTripped``, and
    nothing is written. ``runtime`` stands in for the one made from the environment. Raises ``DatabaseNotReady``,
    ``SettingsError``, and ``RemoteMoved`` where they lead to another API than before; nothing is written then.
    """
    new, runtime = NewBatch("python", lane, label, key), runtime or _runtime()
    runtime.pin_remotes()
    rows: Iterable[Offered | Unreadable] = _rows(TargetUpdate, updates)
    guard = TargetGuard(runtime.database, runtime.settings.guard)
    if not approve and guard.is_needed(key):
        rows = list(rows)
        _guard(guard, rows)
    return _enqueue(rows, new, runtime, force=force)


def enqueue_quota_recalculations(
    recalculations: Iterable[QuotaRecalculation | Mapping[str, Any]],
    *,
    key: str | None = None,
    label: str | None = None,
    lane: Lane = Lane.BULK,
    runtime: Runtime | None = None,
) -> Receipt:
    """Accept quota recalculations as one batch; all else as in ``enqueue_target_updates``."""
    rows, runtime = _rows(QuotaRecalculation, recalculations), runtime or _runtime()
    runtime.pin_remotes()
    return _enqueue(rows, NewBatch("python", lane, label, key), runtime)


def submit_roster_events(
    events: Iterable[Event | Mapping[str, Any]], *, approve: bool = False, runtime: Runtime | None = None
) -> EventReceipt:
    """Take events of the roster, CloudEvents 1.0 as JSON has them: all of them, each once, or none.

    Up to 100,000. An event that was told before, by its source and id, is told no second time. ``approve``: a person
    knows that they change more than the guard allows. Raises ``EventsRefused`` with all that is wrong, by index and
    field; ``GuardTripped``, whose ``approval_id`` a person may approve and the same call come again; ``SettingsError``
    and ``DatabaseNotReady``.
    """
    runtime = runtime or _runtime()
    read = _read_events(islice(events, MOST_EVENTS + 1))
    submission = Submission(read, "python", f"{counted(len(read), 'event')} from Python", approve=approve)
    return accept_events(runtime.database, submission, runtime.settings.guard)


@cache
def _runtime() -> Runtime:
    runtime = Runtime(settings.from_environment())
    try:
        problem = out_of_date(runtime.database)
    except (SQLAlchemyError, NewerSchema) as error:
        runtime.close()
        raise DatabaseNotReady(f"{_first_line(error)} (coachsync doctor says more)") from error
    if problem:
        runtime.close()
        raise DatabaseNotReady(problem)
    if runtime.settings.traces:
        trace_as("coachsync-producer")
    return runtime


def _first_line(error: Exception) -> str:
    said = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return (str(said).strip() or type(said).__name__).splitlines()[0]


def _disconnect() -> None:
    if _runtime.cache_info().currsize:
        _runtime().database.close()


# A server that preloads us forks afterwards. A connection open across the fork mixes up PostgreSQL's answers, and makes
# SQLite lose commits: the child believes in locks that only its parent held. So those at rest are closed, and each side
# connects anew. One that another thread is using at that moment stays open in both.
os.register_at_fork(before=_disconnect, after_in_child=_runtime.cache_clear)


def _guard(guard: TargetGuard, rows: Sequence[Offered | Unreadable]) -> None:
    wishes = [row.wish for row in rows if isinstance(row, Offered)]
    for wish in wishes:
        guard.weigh(wish)
    if reason := guard.reason():
        content = "\n".join(map(canonical, wishes))
        guard.stop(
            f"{counted(len(wishes), 'update')} from Python", hashlib.sha256(content.encode()).hexdigest(), reason
        )


def _enqueue(rows: Iterable[Offered | Unreadable], new: NewBatch, runtime: Runtime, *, force: bool = False) -> Receipt:
    fates: list[RowFate] = []
    receipt = accept(runtime.database, rows, new, runtime.settings.remote_for, forced=force, on_page=fates.extend)
    runtime.dispatcher.nudge()
    return replace(receipt, row_fates=tuple(fates))


def _read_events(given: Iterable[Event | Mapping[str, Any]]) -> list[Event]:
    events: list[Event] = []
    errors: list[EventError] = []
    for index, one in enumerate(given):
        match read_event(one):
            case tuple() as wrong:
                errors += [EventError(index, error.field, error.reason) for error in wrong]
            case event:
                events.append(event)
    if errors:
        raise EventsRefused(errors)
    return events


def _rows(kind: type[W], given: Iterable[W | Mapping[str, Any]]) -> Iterator[Offered | Unreadable]:
    for row, one in enumerate(given, start=1):
        try:
            yield Offered(row, row, one if isinstance(one, kind) else kind.model_validate(one))
        except ValidationError as error:
            yield _unreadable(row, error, one)


def _unreadable(row: int, error: ValidationError, given: object) -> Unreadable:
    errors = errors_of(error, given if isinstance(given, Mapping) else {})
    return Unreadable(
        row,
        row,
        field=", ".join(error.field for error in errors),
        reason="; ".join(error.reason for error in errors),
        value=", ".join(error.value for error in errors),
    )
