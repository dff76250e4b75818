"""What the guard has stopped, and what a person has said of it."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlmodel import Session, col

from worker.core.events import of_guard
from worker.store import outbox
from worker.store.engine import database_now
from worker.store.oversight_models import Approval
from worker.store.tables import approvals

WAITING, APPROVED, REJECTED = "waiting", "approved", "rejected"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be approved: ``digest`` names the content, ``subject`` says what it is, in words."""

    door: str
    digest: str
    subject: str
    reason: str


def request(session: Session, asked: Asked, lasts: timedelta) -> Approval:
    """Ask for approval, or find that this content has been asked for already and not been decided or expired."""
    standing = _standing(session, asked.door, asked.digest)
    if standing and standing.state == WAITING:
        return standing
    now = database_now(session)
    approval = Approval(
        door=asked.door,
        digest=asked.digest,
        subject=asked.subject,
        reason=asked.reason,
        state=WAITING,
        asked_at=now,
        expires_at=now + lasts,
    )
    session.add(approval)
    session.flush()
    outbox.tell(session, [of_guard(approval.id, asked.door, asked.subject, asked.reason, approval.expires_at)])
    return approval


def say_anew(session: Session, approval_id: int, reason: str) -> None:
    """More of the same has come meanwhile."""
    statement = update(approvals).where(approvals.c.id == approval_id).values(reason=reason)
    session.execute(statement)


def is_approved(session: Session, door: str, digest: str) -> bool:
    standing = _standing(session, door, digest)
    return standing is not None and standing.state == APPROVED


def decide(session: Session, approval_id: int, *, approved: bool, by: str) -> Approval | None:
    """None where there is none that still waits: it was decided before, or has expired."""
    now = database_now(session)
    decided = session.execute(
        update(approvals)
        .where(approvals.c.id == approval_id, approvals.c.state == WAITING, approvals.c.expires_at > now)
        .values(state=APPROVED if approved else REJECTED, decided_at=now, decided_by=by)
        .returning(approvals.c.id)
    ).scalar_one_or_none()
    return session.get(Approval, decided, populate_existing=True) if decided else None


def find(session: Session, approval_id: int) -> Approval | None:
    return session.get(Approval, approval_id)


def list_all(session: Session, limit: int, before: int | None = None, *, waiting: bool = False) -> list[Approval]:
    """Newest first."""
    query = select(Approval).order_by(col(Approval.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(Approval.id) < before)
    if waiting:
        query = query.where(col(Approval.state) == WAITING, col(Approval.expires_at) > database_now(session))
    return list(session.execute(query).scalars())


def count_waiting(session: Session) -> int:
    waits = (approvals.c.state == WAITING) & (approvals.c.expires_at > database_now(session))
    return int(session.execute(select(func.count()).select_from(approvals).where(waits)).scalar_one())


def _standing(session: Session, door: str, digest: str) -> Approval | None:
    """The newest one of this content that has not expired."""
    query = (
        select(Approval)
        .where(col(Approval.door) == door, col(Approval.digest) == digest)
        .where(col(Approval.expires_at) > database_now(session))
        .order_by(col(Approval.id).desc())
        .limit(1)
    )
    return session.execute(query).scalar_one_or_none()
