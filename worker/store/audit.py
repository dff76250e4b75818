"""The audit trail: who has done what, when, on what, and what came of it. Nothing changes a line that is settled."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select, update
from sqlmodel import Session, col

from worker.store.console_models import AuditRow
from worker.store.engine import database_now
from worker.store.tables import audit


class AuditOutcome(StrEnum):
    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Deed:
    """``door`` is where it was done: *console*, *command*."""

    who: str
    door: str
    action: str
    subject: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    who: str | None = None
    action: str | None = None


def note(session: Session, deed: Deed, outcome: AuditOutcome, result: str) -> int:
    """Write a line; returns its number."""
    row = AuditRow(
        at=database_now(session),
        who=deed.who,
        door=deed.door,
        action=deed.action,
        subject=deed.subject,
        outcome=outcome,
        result=result,
    )
    session.add(row)
    session.flush()
    return row.id


def settle(session: Session, number: int, outcome: AuditOutcome, result: str) -> None:
    """How a deed that was begun has ended. Where it dies before, the line says *begun* for good."""
    begun = audit.c.outcome == AuditOutcome.BEGUN
    session.execute(update(audit).where(audit.c.id == number, begun).values(outcome=outcome, result=result))


def find(session: Session, number: int) -> AuditRow | None:
    return session.get(AuditRow, number)


def list_all(session: Session, chosen: AuditFilter, limit: int, before: int | None = None) -> list[AuditRow]:
    """Newest first."""
    query = select(AuditRow).order_by(col(AuditRow.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(AuditRow.id) < before)
    if chosen.who is not None:
        query = query.where(col(AuditRow.who) == chosen.who)
    if chosen.action is not None:
        query = query.where(col(AuditRow.action) == chosen.action)
    return list(session.execute(query).scalars())
