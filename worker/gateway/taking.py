"""Many rows of one request: looked through for the guard, then accepted as one batch. Runs in a thread."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any

from schemas.jobs import JobKind
from worker.configuration.settings import Settings
from worker.core.access import Holder
from worker.core.guard import GuardTripped
from worker.counts import counted
from worker.gateway.idempotency import key_reused
from worker.gateway.problems import Problem
from worker.gateway.row_problems import Above, rejected_row
from worker.intake.accept import KeyConflict, Offered, RowFate, Unreadable, accept
from worker.intake.door_checks import at_the_door, refused
from worker.intake.readers import BadRow, GoodRow, Row
from worker.intake.row_errors import FieldError
from worker.intake.source import FileRefused
from worker.intake.target_guard import TargetGuard
from worker.store.batches import NewBatch
from worker.store.engine import Database
from worker.telling.receipt_records import receipt_record

MOST_SHOWN = 100  # rejected rows in an answer; /v1/batches/ID/rejections has them all


@dataclass(frozen=True, slots=True)
class Many:
    """``read`` begins anew each time it is called. ``above`` points to rows of JSON; without it they have lines.

    ``digest`` is of the body: what a person approves, where the guard asks.
    """

    holder: Holder
    kind: JobKind
    new: NewBatch
    read: Callable[[], Iterator[Row]]
    digest: str
    above: Above | None = None
    strict: bool = False
    forced: bool = False


@dataclass(slots=True)
class _Rejected:
    """The first rows that were rejected, by us or at acceptance."""

    above: Above | None
    shown: list[BadRow] = field(default_factory=list)
    _offered: dict[int, GoodRow] = field(default_factory=dict)

    def offer(self, row: Row) -> Offered | Unreadable:
        if isinstance(row, GoodRow):
            self._offered[row.row] = row
            return Offered(row.row, row.line, row.wish)
        self.show(row)
        fields = ", ".join(error.field for error in row.errors)
        reasons = "; ".join(error.reason for error in row.errors)
        return Unreadable(row.row, row.line, fields, reasons, row.raw)

    def note(self, fates: list[RowFate]) -> None:
        for fate in fates:
            if not fate.fate.accepted and (row := self._offered.get(fate.row)):
                self.show(refused(row, FieldError(fate.field or "", fate.reason or "", fate.value or "")))
        self._offered.clear()

    def show(self, row: BadRow) -> None:
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(row)

    def records(self) -> list[dict[str, Any]]:
        return [rejected_row(row, self.above) for row in sorted(self.shown, key=lambda row: row.row)]


def take_many(database: Database, settings: Settings, many: Many, now: datetime) -> dict[str, Any]:
    """The receipt, once all of it is committed. Raises ``Problem``; then nothing was written."""
    door = _door(many.holder, settings, now)
    guard = TargetGuard(database, settings.guard)
    guarded = many.kind is JobKind.TARGET_UPDATE and guard.is_needed(many.new.key)
    try:
        if many.strict or guarded:
            _look_through(many, door, guard if guarded else None)
        return _accepted(database, settings, many, door)
    except FileRefused as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable-body", str(error)) from error
    except KeyConflict as error:
        raise key_reused(str(error)) from error
    except GuardTripped as error:
        raise guard_tripped(error) from error


def guard_tripped(error: GuardTripped) -> Problem:
    remedy = f"if that is right: `coachsync approvals approve {error.approval_id}`, then the same request again"
    return Problem(
        HTTPStatus.CONFLICT, "guard-tripped", f"{error}; {remedy}", approval=error.approval_id, reason=error.reason
    )


def _look_through(many: Many, door: Callable[[Row], Row], guard: TargetGuard | None) -> None:
    """A first pass, for who has to know all rows before the first is written."""
    rejected, bad, rows = _Rejected(many.above), 0, 0
    for rows, row in enumerate(map(door, many.read()), 1):  # noqa: B007 - their number is asked for below
        if isinstance(row, BadRow):
            bad += 1
            rejected.show(row)
        elif guard:
            guard.weigh(row.wish)
    if bad and many.strict:
        words = f"{bad:,} of {counted(rows, 'row is', 'rows are')} wrong, and strict was asked for; nothing was written"
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "rows-rejected", words, rejected=bad, rejections=rejected.records()
        )
    if guard and (reason := guard.reason()):
        guard.stop(f"{counted(rows, 'update')} from {many.holder.name}, by HTTP", many.digest, reason)


def _accepted(database: Database, settings: Settings, many: Many, door: Callable[[Row], Row]) -> dict[str, Any]:
    rejected = _Rejected(many.above)
    rows = map(rejected.offer, map(door, many.read()))
    receipt = accept(database, rows, many.new, settings.remote_for, forced=many.forced, on_page=rejected.note)
    return receipt_record(receipt) | {"job": None, "rejections": rejected.records()}


def _door(holder: Holder, settings: Settings, now: datetime) -> Callable[[Row], Row]:
    check = at_the_door(settings.remote_for, now)

    def checked(row: Row) -> Row:
        if isinstance(row, GoodRow) and not holder.owns(row.wish.resource):
            return refused(row, not_theirs(holder, row.wish.resource))
        return check(row)

    return checked


def not_theirs(holder: Holder, name: str) -> FieldError:
    theirs = ", ".join(f"customers/{one}" for one in sorted(holder.customers))
    return FieldError("name", f"the token is for {theirs} alone", name)


def with_key(new: NewBatch, key: str | None) -> NewBatch:
    return replace(new, key=key) if key else new
