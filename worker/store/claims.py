"""Who may work on a job: claim, give back, rescue. All by lease and fence."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlmodel import Session

from schemas.ids import ROW_BITS
from schemas.jobs import JobKind, JobState
from worker.core.acceptance import KnownIdentity
from worker.core.decisions import MOST_CRASHES
from worker.store import batches as batch_store
from worker.store.acceptance import known_identities, lock_resources
from worker.store.engine import database_now
from worker.store.tables import jobs, targets

_BULK: Any = {"synchronize_session": False}
RESCUED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Lease:
    """``owner`` is the message's id: its redelivery may take its own lease back at once."""

    owner: str
    lasts: timedelta


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that is ours until its lease ends, with all that its walk needs."""

    id: int
    fence: int
    kind: JobKind
    resource: str
    wish: str
    forced: bool
    attempts: int
    failures: int
    read_first: bool
    first_sent_at: datetime | None
    baseline: float | None
    known: KnownIdentity | None


def claim(session: Session, ids: Sequence[int], lease: Lease) -> list[Claimed]:
    """Take the jobs that are free: pending, due, and no other job of the same resource is running.

    Jobs of our own lease were left running when the message's first consumer died: they are rescued at once. A job
    that has lost a worker is taken only alone, so that a poison one cannot take its neighbours with it.
    """
    _rescue(session, _running(ids, lease.owner))
    rows = _claim_rows(session, ids, lease, database_now(session))
    known = known_identities(session, sorted({row.resource for row in rows}))
    return [_claimed(row, known.get(row.resource)) for row in sorted(rows, key=lambda row: row.id)]


def give_back(session: Session, fences: Mapping[int, int]) -> None:
    """Return jobs that were claimed and not sent; a newer wish that came meanwhile supersedes them."""
    never_sent = and_(jobs.c.attempts == 0, jobs.c.crashes == 0)
    _return_to_pending(session, fences, {"first_sent_at": case((never_sent, None), else_=jobs.c.first_sent_at)})


def something_expired(session: Session) -> bool:
    query = select(jobs.c.id).where(jobs.c.state == JobState.RUNNING, jobs.c.lease_until < database_now(session))
    return session.execute(query.limit(1)).first() is not None


def rescue(session: Session) -> list[int]:
    """Make jobs whose lease has run out due again; returns their ids.

    What their worker had sent is unknown: they read first. A job that has lost ``MOST_CRASHES`` workers is poison.
    """
    expired = (
        select(jobs.c.id, jobs.c.fence, jobs.c.resource, jobs.c.crashes)
        .where(jobs.c.state == JobState.RUNNING, jobs.c.lease_until < database_now(session))
        .order_by(jobs.c.lease_until)
        .limit(RESCUED_AT_ONCE)
    )
    return _rescue(session, expired)


def _running(ids: Sequence[int], owner: str) -> Select[Any]:
    return select(jobs.c.id, jobs.c.fence, jobs.c.resource, jobs.c.crashes).where(
        jobs.c.id.in_(ids), jobs.c.state == JobState.RUNNING, jobs.c.lease_owner == owner
    )


def _rescue(session: Session, lost: Select[Any]) -> list[int]:
    rows = session.execute(lost).all()
    if not rows:
        return []
    lock_resources(session, (row.resource for row in rows))
    poison = {row.id: row.fence for row in rows if row.crashes + 1 >= MOST_CRASHES}
    _bury(session, poison)
    _return_to_pending(
        session,
        {row.id: row.fence for row in rows if row.id not in poison},
        {"crashes": jobs.c.crashes + 1, "read_first": True},
    )
    mark_uncertain(session, [row.resource for row in rows])
    return [row.id for row in rows]


def _claimed(row: Any, known: KnownIdentity | None) -> Claimed:
    return Claimed(
        id=row.id,
        fence=row.fence,
        kind=JobKind(row.kind),
        resource=row.resource,
        wish=row.wish,
        forced=row.forced,
        attempts=row.attempts,
        failures=row.failures,
        read_first=row.read_first,
        first_sent_at=row.first_sent_at,
        baseline=row.baseline,
        known=known,
    )


def _claim_rows(session: Session, ids: Sequence[int], lease: Lease, now: datetime) -> Sequence[Any]:
    other = jobs.alias("other")
    candidates = (
        select(jobs.c.id)
        .where(jobs.c.id.in_(ids), jobs.c.state == JobState.PENDING, jobs.c.due_at <= now)
        .where(~exists().where(other.c.resource == jobs.c.resource, other.c.state == JobState.RUNNING))
        .order_by(jobs.c.id)
    )
    if len(ids) > 1:
        candidates = candidates.where(jobs.c.crashes == 0)
    statement = (
        update(jobs)
        .where(jobs.c.id.in_(candidates.with_for_update(skip_locked=True)))
        .values(
            state=JobState.RUNNING,
            lease_owner=lease.owner,
            lease_until=now + lease.lasts,
            fence=jobs.c.fence + 1,
            first_sent_at=func.coalesce(jobs.c.first_sent_at, literal(now, jobs.c.first_sent_at.type)),
            published_until=None,
        )
        .returning(
            jobs.c.id, jobs.c.fence, jobs.c.kind, jobs.c.resource, jobs.c.wish, jobs.c.forced, jobs.c.attempts,
            jobs.c.failures, jobs.c.read_first, jobs.c.first_sent_at, jobs.c.baseline,
        )
    )  # fmt: skip
    return session.execute(statement, execution_options=_BULK).all()


def _return_to_pending(session: Session, fences: Mapping[int, int], values: dict[str, Any]) -> None:
    if not fences:
        return
    lock_resources(session, session.execute(select(jobs.c.resource).where(jobs.c.id.in_(sorted(fences)))).scalars())
    now = database_now(session)
    newer = newer_pending()
    statement = (
        update(jobs)
        .where(held(fences))
        .values(
            state=case((newer.is_(None), JobState.PENDING.value), else_=JobState.SUPERSEDED.value),
            superseded_by=newer,
            finished_at=case((newer.is_(None), None), else_=literal(now, jobs.c.finished_at.type)),
            published_until=None,
            **NO_LEASE,
            **values,
        )
        .returning(jobs.c.id, jobs.c.state)
    )
    rows = session.execute(statement, execution_options=_BULK).all()
    superseded = [row.id for row in rows if row.state == JobState.SUPERSEDED]
    batch_store.count(session, by_batch(superseded, "superseded"))


def held(fences: Mapping[int, int]) -> ColumnElement[bool]:
    """Rows that are still running under the fences they were claimed with: a late writer finds none."""
    return and_(tuple_(jobs.c.id, jobs.c.fence).in_(sorted(fences.items())), jobs.c.state == JobState.RUNNING)


def newer_pending() -> ScalarSelect[int]:
    """The pending job of the same resource, which is the newer wish wherever one is running."""
    newer = jobs.alias("newer")
    return (
        select(newer.c.id)
        .where(newer.c.resource == jobs.c.resource, newer.c.state == JobState.PENDING)
        .correlate(jobs)
        .scalar_subquery()
    )


def by_batch(ids: Iterable[int], counter: str) -> dict[int, Counter[str]]:
    deltas: dict[int, Counter[str]] = defaultdict(Counter)
    for job in ids:
        deltas[job >> ROW_BITS][counter] += 1
    return deltas


NO_LEASE: dict[str, Any] = {"lease_owner": None, "lease_until": None}


def _bury(session: Session, fences: Mapping[int, int]) -> None:
    if not fences:
        return
    statement = (
        update(jobs)
        .where(held(fences))
        .values(
            state=JobState.FAILED,
            error_code="poison",
            error=f"{MOST_CRASHES} workers died or hung while they had this job",
            crashes=jobs.c.crashes + 1,
            finished_at=database_now(session),
            **NO_LEASE,
        )
        .returning(jobs.c.id)
    )
    batch_store.count(session, by_batch(session.execute(statement, execution_options=_BULK).scalars(), "failed"))


def mark_uncertain(session: Session, names: Sequence[str]) -> None:
    """An attempt may have changed these targets; what we knew of them no longer proves anything."""
    if names:
        session.execute(update(targets).where(targets.c.name.in_(sorted(set(names)))).values(uncertain=True))
