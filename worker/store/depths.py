"""How much there is to do, by remote and lane, and for how long it has waited: each one look at an index."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlmodel import Session

from schemas.jobs import JobState
from schemas.lanes import Lane
from worker.store.tables import attempts, batches, jobs


@dataclass(frozen=True, slots=True)
class LaneDepth:
    """``due`` could be sent now, ``later`` wait for their time, the first at ``next_due_at``.

    ``published`` of them lie with the broker.
    """

    remote: str
    lane: Lane
    due: int = 0
    later: int = 0
    published: int = 0
    running: int = 0
    oldest_due_at: datetime | None = None
    next_due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """Sums over all batches that are kept; ``accepted`` less what has ended is what is still to be done."""

    batches: int
    open: int
    accepted: int
    rejected: int
    succeeded: int
    failed: int
    superseded: int
    cancelled: int


def lane_depths(session: Session, now: datetime) -> list[LaneDepth]:
    found: dict[tuple[str, str], LaneDepth] = {}
    for row in session.execute(_pending(now)):
        depth = LaneDepth(row.remote, Lane(row.lane), row.due, row.all - row.due, next_due_at=row.next)
        found[row.remote, row.lane] = replace(depth, oldest_due_at=row.oldest if row.due else None)
    for name, query in (("published", _published(now)), ("running", _running())):
        for remote, lane, count in session.execute(query):
            depth = found.get((remote, lane), LaneDepth(remote, Lane(lane)))
            found[remote, lane] = replace(depth, **{name: count})
    return [found[key] for key in sorted(found)]


def oldest_due_job(session: Session, depths: list[LaneDepth]) -> int | None:
    """Of all lanes together."""
    due = [depth for depth in depths if depth.oldest_due_at]
    if not due:
        return None
    oldest = min(due, key=lambda depth: depth.oldest_due_at)  # type: ignore[arg-type, return-value]  # None is left out
    query = select(jobs.c.id).where(
        jobs.c.state == JobState.PENDING, jobs.c.remote == oldest.remote, jobs.c.lane == oldest.lane
    )
    return session.execute(query.order_by(jobs.c.due_at, jobs.c.id).limit(1)).scalar_one_or_none()


def failed_by_code(session: Session) -> dict[str, int]:
    """All failed jobs that are kept, most first."""
    count = func.count().label("count")
    query = select(jobs.c.error_code, count).where(jobs.c.state == JobState.FAILED).group_by(jobs.c.error_code)
    return {code or "": number for code, number in session.execute(query.order_by(count.desc(), jobs.c.error_code))}


def batch_totals(session: Session) -> BatchTotals:
    columns = batches.c
    counters = (columns.accepted, columns.rejected, columns.succeeded, columns.failed, columns.superseded)
    sums = [func.coalesce(func.sum(counter), 0) for counter in (*counters, columns.cancelled)]
    still_open = func.coalesce(func.sum(case((columns.completed_at.is_(None), 1), else_=0)), 0)
    return BatchTotals(*map(int, session.execute(select(func.count(), still_open, *sums).select_from(batches)).one()))


def requests_since(session: Session, remote: str, window: timedelta, now: datetime) -> int:
    query = select(func.count()).where(attempts.c.remote == remote, attempts.c.started_at >= now - window)
    count: int = session.execute(query).scalar_one()
    return count


def _pending(now: datetime) -> Select[Any]:
    due = func.sum(case((jobs.c.due_at <= now, 1), else_=0))
    counted = select(
        jobs.c.remote,
        jobs.c.lane,
        func.count().label("all"),
        due.label("due"),
        func.min(jobs.c.due_at).label("oldest"),
        func.min(case((jobs.c.due_at > now, jobs.c.due_at))).label("next"),
    )
    return counted.where(jobs.c.state == JobState.PENDING).group_by(jobs.c.remote, jobs.c.lane)


def _published(now: datetime) -> Select[Any]:
    counted = select(jobs.c.remote, jobs.c.lane, func.count())
    with_broker = counted.where(jobs.c.state == JobState.PENDING, jobs.c.published_until > now)
    return with_broker.group_by(jobs.c.remote, jobs.c.lane)


def _running() -> Select[Any]:
    counted = select(jobs.c.remote, jobs.c.lane, func.count())
    return counted.where(jobs.c.state == JobState.RUNNING).group_by(jobs.c.remote, jobs.c.lane)
