"""What the door would do with wishes, and what they would meet: nothing is locked, nothing is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import func, select
from sqlmodel import Session

from api_adapter.rate_limit.policy import RateLimit
from schemas.jobs import JobState
from worker.core.acceptance import Acceptance, Offer, Standing, plan_acceptance
from worker.store.acceptance import IN_AT_ONCE, accepted_values, earlier_keys, known_identities
from worker.store.engine import database_now
from worker.store.history import most_sent_since
from worker.store.pauses import cooldown
from worker.store.tables import attempts, jobs, resources

_OPEN = (JobState.PENDING, JobState.RUNNING)
_ANSWERS = 200  # the newest, whose latency tells that of the next


@dataclass(frozen=True, slots=True)
class Foresight:
    """``standings`` are those before the first offer."""

    acceptance: Acceptance
    standings: Mapping[str, Standing]


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a remote is: jobs that wait for it, what was sent in each window, how fast it answers."""

    jobs_ahead: int
    used: Mapping[timedelta, int]
    latency: timedelta | None
    opens_in: timedelta


def foresee(session: Session, offers: Sequence[Offer]) -> Foresight:
    names = sorted({offer.wish.resource for offer in offers})
    standings: dict[str, Standing] = {}
    for start in range(0, len(names), IN_AT_ONCE):
        standings |= _standings(session, names[start : start + IN_AT_ONCE])
    plan = plan_acceptance(offers, standings, earlier_keys(session, offers), database_now(session))
    return Foresight(plan, standings)


def load_of(session: Session, remote: str, limits: Sequence[RateLimit]) -> Load:
    waiting = select(func.count()).select_from(jobs).where(jobs.c.remote == remote, jobs.c.state.in_(_OPEN))
    newest = (
        select(attempts.c.latency_ms)
        .where(attempts.c.remote == remote, attempts.c.status.is_not(None))
        .order_by(attempts.c.started_at.desc())
        .limit(_ANSWERS)
        .subquery()
    )
    average = session.execute(select(func.avg(newest.c.latency_ms))).scalar_one()
    return Load(
        jobs_ahead=session.execute(waiting).scalar_one(),
        used={limit.window: most_sent_since(session, remote, limit.window) for limit in limits},
        latency=None if average is None else timedelta(milliseconds=float(average)),
        opens_in=cooldown(session, remote),
    )


def _standings(session: Session, names: Sequence[str]) -> dict[str, Standing]:
    known = known_identities(session, names)
    found = {name: Standing(known=known.get(name)) for name in names}
    versions = select(resources.c.name, resources.c.version, resources.c.newest_job_id)
    rows = session.execute(versions.where(resources.c.name.in_(names))).all()
    accepted = accepted_values(session, [row.newest_job_id for row in rows])
    for row in rows:
        found[row.name] = replace(
            found[row.name],
            version=row.version,
            newest_job_id=row.newest_job_id,
            accepted=accepted.get(row.newest_job_id),
        )
    return found | _busy(session, found)


def _busy(session: Session, found: Mapping[str, Standing]) -> dict[str, Standing]:
    query = select(jobs.c.resource, jobs.c.state, jobs.c.id)
    busy = dict(found)
    for row in session.execute(query.where(jobs.c.resource.in_(sorted(found)), jobs.c.state.in_(_OPEN))):
        one = busy[row.resource]
        pending = row.id if row.state == JobState.PENDING else one.pending_job_id
        busy[row.resource] = replace(one, pending_job_id=pending, running=one.running or row.state == JobState.RUNNING)
    return busy
