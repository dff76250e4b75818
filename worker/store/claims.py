"""Who may work on a job: claim, give back, rescue. All by lease and fence."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    select,
    true,
    tuple_,
    update,
)
from sqlmodel import Session

from schemas.ids import ROW_BITS, format_job_id
from schemas.jobs import JobKind, JobState, TargetCreation
from worker.core.acceptance import KnownIdentity
from worker.core.decisions import ALONE_AFTER, AMBIGUOUS_PAUSE, MOST_CRASHES, Fail
from worker.core.events import Ended, Event, of_job
from worker.log import get_logger
from worker.store import batches as batch_store
from worker.store import outbox
from worker.store.acceptance import known_identities, lock_resources
from worker.store.among import among
from worker.store.doubts import mark_uncertain, values_in_doubt
from worker.store.engine import NOW_ASKED_ONCE, database_now
from worker.store.tables import jobs
from worker.store.twins import Twin, twins_of

_log = get_logger(__name__)
RESCUED_AT_ONCE = 1_000
HOWEVER_OFTEN = 1_000_000


@dataclass(frozen=True, slots=True)
class Lease:
    """``owner`` is the message's id: its redelivery may take its own lease back at once."""

    owner: str
    lasts: timedelta


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that is ours until its lease ends, with all that its walk needs.

    ``ours``, for one that reads first: values that older wishes in doubt may have left at the remote. ``twin``, for a
    creation: the target that is there for the same already.
    """

    id: int
    fence: int
    kind: JobKind
    resource: str
    wish: str
    forced: bool
    attempts: int
    failures: int
    round: int
    read_first: bool
    first_sent_at: datetime | None
    baseline: float | None
    known: KnownIdentity | None = None
    ours: tuple[float, ...] = ()
    version: int = 0
    traceparent: str | None = None
    twin: Twin | None = None


def claim(session: Session, ids: Sequence[int], lease: Lease, now: datetime) -> list[Claimed]:
    """Take the jobs that are free: pending, due, and no other job of the same resource is running.

    A job that has lost ``ALONE_AFTER`` workers is taken only alone, so that a poison one takes no neighbour to the end.
    """
    rows = _claim_rows(session, ids, lease, now)
    if not rows:
        return []
    known = known_identities(session, sorted({row.resource for row in rows}))
    ours = values_in_doubt(session, [row.resource for row in rows if row.read_first])
    creations = [row.wish for row in rows if row.kind == JobKind.TARGET_CREATION]
    twins = twins_of(session, [TargetCreation.model_validate_json(wish) for wish in creations])
    return [
        replace(
            _claimed(row), known=known.get(row.resource), ours=ours.get(row.resource, ()), twin=twins.get(row.resource)
        )
        for row in sorted(rows, key=lambda row: row.id)
    ]


def give_back(session: Session, fences: Mapping[int, int]) -> list[int]:
    """Return jobs that were claimed and not sent.

    Returns those that a newer wish, come meanwhile, supersedes: the caller counts them.
    """
    never_sent = and_(jobs.c.attempts == 0, jobs.c.crashes == 0)
    values = {"first_sent_at": case((never_sent, None), else_=jobs.c.first_sent_at)}
    return _superseded(_return_to_pending(session, fences, values))


def rescue_own(session: Session, ids: Sequence[int], owner: str) -> None:
    """Jobs that run under our own lease and nobody works on: they need not wait for its end."""
    _rescue(session, _running(ids, owner))


def something_expired(session: Session) -> bool:
    query = select(jobs.c.id).where(jobs.c.state == JobState.RUNNING, jobs.c.lease_until < NOW_ASKED_ONCE)
    return session.execute(query.limit(1)).first() is not None


def rescue(session: Session) -> list[int]:
    """Make jobs whose lease has run out due again; returns their ids.

    What their worker had sent is unknown: they read first, after a pause, since a write may still be at work at the
    remote. A job that has lost ``MOST_CRASHES`` workers is poison.
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
    names = sorted({row.resource for row in rows})
    lock_resources(session, names)
    again_at = database_now(session) + AMBIGUOUS_PAUSE
    poison = _bury(session, {row.id: row.fence for row in rows if row.crashes + 1 >= MOST_CRASHES})
    returned = _return_to_pending(
        session,
        {row.id: row.fence for row in rows if row.crashes + 1 < MOST_CRASHES},
        {"crashes": jobs.c.crashes + 1, "read_first": True, "due_at": again_at},
    )
    mark_uncertain(session, names)
    let_go(session, names, not_before=again_at)
    deltas = by_batch(poison, "failed")
    for batch, count in by_batch(_superseded(returned), "superseded").items():
        deltas[batch] += count
    batch_store.count(session, deltas)
    return [*poison, *(row.id for row in returned)]


def _claimed(row: Any) -> Claimed:
    return Claimed(
        id=row.id,
        fence=row.fence,
        kind=JobKind(row.kind),
        resource=row.resource,
        version=row.version,
        wish=row.wish,
        forced=row.forced,
        attempts=row.attempts,
        failures=row.failures,
        round=row.round,
        read_first=row.read_first,
        first_sent_at=row.first_sent_at,
        baseline=row.baseline,
        traceparent=row.traceparent,
    )


def _claiming(session: Session) -> Update:
    other = jobs.alias("other")
    now = bindparam("now", type_=jobs.c.due_at.type)
    free = (
        select(jobs.c.id)
        .where(among(session, jobs.c.id, "ids"), jobs.c.state == JobState.PENDING, jobs.c.due_at <= now)
        .where(jobs.c.crashes < bindparam("crashed_below"))
        .where(~exists().where(other.c.resource == jobs.c.resource, other.c.state == JobState.RUNNING))
        .order_by(jobs.c.id)
        .with_for_update(skip_locked=True)
    )
    return (
        update(jobs)
        .where(jobs.c.id.in_(free))
        .values(
            state=JobState.RUNNING,
            lease_owner=bindparam("owner"),
            lease_until=bindparam("until", type_=jobs.c.lease_until.type),
            fence=jobs.c.fence + 1,
            first_sent_at=func.coalesce(jobs.c.first_sent_at, now),
            published_until=None,
        )
        .returning(
            jobs.c.id, jobs.c.fence, jobs.c.kind, jobs.c.resource, jobs.c.version, jobs.c.wish, jobs.c.forced,
            jobs.c.attempts, jobs.c.failures, jobs.c.round, jobs.c.read_first, jobs.c.first_sent_at, jobs.c.baseline,
            jobs.c.traceparent,
        )
    )  # fmt: skip


def _claim_rows(session: Session, ids: Sequence[int], lease: Lease, now: datetime) -> Sequence[Any]:
    given = {
        "ids": ids,
        "now": now,
        "until": now + lease.lasts,
        "owner": lease.owner,
        "crashed_below": ALONE_AFTER if len(ids) > 1 else HOWEVER_OFTEN,
    }
    return session.execute(_claiming(session), given).all()


def _return_to_pending(session: Session, fences: Mapping[int, int], values: dict[str, Any]) -> Sequence[Any]:
    """Returns id and new state of each that was still held. Their resources are locked before."""
    if not fences:
        return []
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
    return session.execute(statement).all()


def _superseded(rows: Iterable[Any]) -> list[int]:
    return [row.id for row in rows if row.state == JobState.SUPERSEDED]


def let_go(session: Session, names: Sequence[str], *, not_before: datetime | None = None) -> None:
    """A newer wish may have been turned away while an older one ran: the dispatcher may bring it again at once.

    ``not_before``: a write of the older one may still be at work at the remote, and must not come in last.
    """
    if not names:
        return
    values: dict[str, Any] = {"published_until": None}
    if not_before is not None:
        pause = literal(not_before, jobs.c.due_at.type)
        values["due_at"] = case((jobs.c.due_at < pause, pause), else_=jobs.c.due_at)
    session.execute(
        update(jobs)
        .where(among(session, jobs.c.resource, sorted(set(names))), jobs.c.state == JobState.PENDING)
        .where(true() if not_before else jobs.c.published_until.is_not(None))
        .values(values)
    )


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


def _bury(session: Session, fences: Mapping[int, int]) -> list[int]:
    if not fences:
        return []
    statement = (
        update(jobs)
        .where(held(fences))
        .values(
            state=JobState.FAILED,
            error_code="poison",
            error=f"{MOST_CRASHES} workers died or hung while they had this job",
            crashes=jobs.c.crashes + 1,
            read_first=True,
            finished_at=database_now(session),
            **NO_LEASE,
        )
        .returning(jobs.c.id, jobs.c.batch_id, jobs.c.round, jobs.c.kind, jobs.c.resource, jobs.c.wish, jobs.c.error)
    )
    buried = sorted(session.execute(statement).all())
    outbox.tell(session, (event for row in buried for event in _poisoned(row)))
    return [row.id for row in buried]


def _poisoned(row: Any) -> Iterator[Event]:
    kind, failed = JobKind(row.kind), Fail("poison", row.error, doubtful=True)
    try:
        yield from of_job(Ended(row.id, row.batch_id, row.round, kind, row.resource, row.wish, failed))
    except ValidationError as error:  # a wish that nobody can read may be what killed the workers
        _log.error("poison_not_told", job=format_job_id(row.id), error=repr(error)[:300])
