"""What pages draw over time: each figure is one look at a stretch of an index."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from worker.store.models import Job, QuotaAnswer
from worker.store.oversight_models import Drift
from worker.store.roster_models import RosterEventRow
from worker.store.tables import attempts


@dataclass(frozen=True, slots=True)
class Span:
    """``count`` stretches of time, each as long as ``bucket``, the last one ends at ``until``."""

    until: datetime
    bucket: timedelta
    count: int

    @property
    def starts(self) -> list[datetime]:
        return [self.until - self.bucket * number for number in range(self.count, 0, -1)]


def requests_over_time(session: Session, remote: str, span: Span) -> list[tuple[datetime, int]]:
    """How many were sent in each stretch."""
    columns, found = attempts.c, []
    for start in span.starts:
        within = (columns.remote == remote, columns.started_at >= start, columns.started_at < start + span.bucket)
        found.append((start, int(session.execute(select(func.count()).where(*within)).scalar_one())))
    return found


def wishes_of(session: Session, resource: str, limit: int) -> list[Job]:
    """Newest first."""
    query = select(Job).where(col(Job.resource) == resource).order_by(col(Job.id).desc()).limit(limit)
    return list(session.execute(query).scalars())


def drifts_of(session: Session, resource: str, limit: int) -> list[Drift]:
    """Newest first; those that are open are found by their index, and are the ones that count."""
    query = select(Drift).where(col(Drift.resource) == resource, col(Drift.closed_at).is_(None))
    return list(session.execute(query.order_by(col(Drift.id).desc()).limit(limit)).scalars())


def answers_of(session: Session, resource: str, limit: int, before: int | None = None) -> list[QuotaAnswer]:
    """Newest first."""
    query = select(QuotaAnswer).where(col(QuotaAnswer.resource) == resource)
    if before is not None:
        query = query.where(col(QuotaAnswer.id) < before)
    return list(session.execute(query.order_by(col(QuotaAnswer.id).desc()).limit(limit)).scalars())


def roster_changes(
    session: Session, profile: str, since: datetime, until: datetime, limit: int
) -> Sequence[RosterEventRow]:
    """What changed the roster of a profile in a time, newest first."""
    columns = RosterEventRow
    query = select(RosterEventRow).where(
        col(columns.profile) == profile,
        col(columns.time) >= since,
        col(columns.time) <= until,
        col(columns.outcome) == "applied",
    )
    return session.execute(query.order_by(col(columns.time).desc()).limit(limit)).scalars().all()
