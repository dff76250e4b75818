"""How much there is to do, by remote and lane, and for how long it has waited: each one look at an index."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, func, select
from sqlmodel import Session

from schemas.jobs import JobState
from schemas.lanes import Lane
from worker.store.roster import HELD, WAITING
from worker.store.selection import in_state
from worker.store.tables import attempts, batches, jobs, roster_events, wants


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


@dataclass(frozen=True, slots=True)
class RosterDepth:
    """Events ``waiting`` for the planner or ``held`` for a person; wants ``hindered`` by an obstacle."""

    waiting: int
    held: int
    hindered: int


def roster_depth(session: Session) -> RosterDepth:
    def events(state: str) -> int:
        in_it = roster_events.c.state == bindparam(None, state, literal_execute=True)
        return int(session.execute(select(func.count()).select_from(roster_events).where(in_it)).scalar_one())

    hindered = select(func.count()).select_from(wants).where(~wants.c.asked, wants.c.obstacle.is_not(None))
    return RosterDepth(events(WAITING), events(HELD), int(session.execute(hindered).scalar_one()))


def lane_depths(session: Session, now: datetime) -> list[LaneDepth]:
    """Of every remote and lane that has a job to be done, also of remotes that the settings no longer name."""
    published, running = _published(session, now), _running(session)
    remotes = sorted({*_remotes_with_pending(session), *(remote for remote, _ in running)})
    depths = [
        replace(_pending(session, remote, lane, now), published=published[remote, lane], running=running[remote, lane])
        for remote in remotes
        for lane in Lane
    ]
    return [depth for depth in depths if depth.due or depth.later or depth.running]


def oldest_due_job(session: Session, depths: list[LaneDepth]) -> int | None:
    """Of all lanes together."""
    due = [depth for depth in depths if depth.oldest_due_at]
    if not due:
        return None
    oldest = min(due, key=lambda depth: depth.oldest_due_at)  # type: ignore[arg-type, return-value]  # None is left out
    query = select(jobs.c.id).where(
        in_state(JobState.PENDING), jobs.c.remote == oldest.remote, jobs.c.lane == oldest.lane
    )
    return session.execute(query.order_by(jobs.c.due_at, jobs.c.id).limit(1)).scalar_one_or_none()


def failed_by_code(session: Session) -> dict[str, int]:
    """All failed jobs that are kept, most first."""
    count = func.count().label("count")
    query = select(jobs.c.error_code, count).where(in_state(JobState.FAILED)).group_by(jobs.c.error_code)
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


def _remotes_with_pending(session: Session) -> list[str]:
    """Found by skipping along the index from one to the next: a group by would read every pending row."""
    found: list[str] = []
    first = select(func.min(jobs.c.remote)).where(in_state(JobState.PENDING))
    remote = session.execute(first).scalar_one()
    while remote is not None:
        found.append(remote)
        remote = session.execute(first.where(jobs.c.remote > remote)).scalar_one()
    return found


def _pending(session: Session, remote: str, lane: Lane, now: datetime) -> LaneDepth:
    its = and_(in_state(JobState.PENDING), jobs.c.remote == remote, jobs.c.lane == lane)

    def look(what: Any, when: ColumnElement[bool]) -> Any:
        return session.execute(select(what).select_from(jobs).where(its, when)).scalar_one()

    due, later = jobs.c.due_at <= now, jobs.c.due_at > now
    first = func.min(jobs.c.due_at)  # apart from the count: alone it is one look, together it reads what it counts
    return LaneDepth(
        remote,
        lane,
        due=look(func.count(), due),
        later=look(func.count(), later),
        oldest_due_at=look(first, due),
        next_due_at=look(first, later),
    )


def _published(session: Session, now: datetime) -> Counter[tuple[str, str]]:
    """Counted here: few enough at any time, and a group by would choose the index over all that is pending."""
    query = select(jobs.c.remote, jobs.c.lane)
    rows = session.execute(query.where(in_state(JobState.PENDING), jobs.c.published_until > now))
    return Counter((row.remote, row.lane) for row in rows)


def _running(session: Session) -> Counter[tuple[str, str]]:
    query = select(jobs.c.remote, jobs.c.lane).where(in_state(JobState.RUNNING))
    return Counter((row.remote, row.lane) for row in session.execute(query))
