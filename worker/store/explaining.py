"""Everything that belongs to one job, one resource or one batch, gathered so that it can be told."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, tuple_
from sqlmodel import Session, col

from schemas.ids import ROW_BITS
from schemas.jobs import JobKind, JobState, TargetCreation
from worker.store import halts, pauses, quarantine
from worker.store.console_models import Halt
from worker.store.engine import database_now
from worker.store.explaining_roster import Origins, origins_of
from worker.store.explaining_webhooks import MessageStory, told_of_batch, told_of_job
from worker.store.known import find_resource, find_target, newest_quota
from worker.store.listing import ErrorCount, attempts_by_job, attempts_of, errors_of_batch, find_job, first_rejections
from worker.store.models import Attempt, Batch, Job, KnownTarget, Pause, Quarantine, QuotaAnswer, Rejection
from worker.store.selection import in_state
from worker.store.tables import jobs
from worker.store.twins import twins_of

SHOWN = 10
COUNTED_AHEAD = 10_000  # past this it is "many", and counting on would cost more than it tells


@dataclass(frozen=True, slots=True)
class Waiting:
    """What stands before a pending job at ``now``. ``ahead``: jobs of its remote and lane that are due before it.

    ``pause`` is the longest of those that hold its lane back; ``halt`` is a person's.
    """

    job: Job
    now: datetime
    ahead: int
    running: Job | None
    quarantine: Quarantine | None
    pause: Pause | None
    halt: Halt | None = None


@dataclass(frozen=True, slots=True)
class JobStory:
    """``supersedes`` holds the newest few of ``superseded`` jobs that it replaced; ``origins`` the events behind it.

    ``told``: what the outside world heard of it.
    """

    job: Job
    batch: Batch | None
    attempts: list[Attempt]
    supersedes: list[Job]
    superseded: int
    by: Job | None
    newest: Job | None
    target: KnownTarget | None
    quota: QuotaAnswer | None
    waiting: Waiting | None
    origins: Origins
    told: list[MessageStory]


@dataclass(frozen=True, slots=True)
class ResourceStory:
    """The newest ``wishes`` of ``accepted`` in all that are still kept; ``attempts`` by job, oldest first."""

    name: str
    target: KnownTarget | None
    quota: QuotaAnswer | None
    newest: Job | None
    wishes: list[Job]
    attempts: dict[int, list[Attempt]]
    accepted: int
    waiting: Waiting | None


@dataclass(frozen=True, slots=True)
class BatchStory:
    """``example`` is a job of it that has not ended yet."""

    batch: Batch
    errors: list[ErrorCount]
    rejections: list[Rejection]
    slowest: list[Attempt]
    example: Job | None
    waiting: Waiting | None
    told: list[MessageStory]


def job_story(session: Session, job_id: int) -> JobStory | None:
    job = find_job(session, job_id)
    if job is None:
        return None
    replaced = select(Job).where(col(Job.resource) == job.resource, col(Job.superseded_by) == job.id)
    return JobStory(
        job=job,
        batch=session.get(Batch, job.id >> ROW_BITS),
        attempts=attempts_of(session, job.id),
        supersedes=list(session.execute(replaced.order_by(col(Job.id).desc()).limit(SHOWN)).scalars()),
        superseded=session.execute(select(func.count()).select_from(replaced.subquery())).scalar_one(),
        by=find_job(session, job.superseded_by) if job.superseded_by else None,
        newest=_newest(session, job.resource),
        target=find_target(session, _target_of(session, job)),
        quota=newest_quota(session, job.resource),
        waiting=_waiting(session, job),
        origins=origins_of(session, job),
        told=told_of_job(session, job.id),
    )


def resource_story(session: Session, name: str, limit: int) -> ResourceStory | None:
    """None for a name that nobody has wished anything for, and that nothing is known of."""
    target, quota, newest = find_target(session, name), newest_quota(session, name), _newest(session, name)
    wishes = select(Job).where(col(Job.resource) == name)
    found = list(session.execute(wishes.order_by(col(Job.id).desc()).limit(limit)).scalars())
    if not (target or quota or found or find_resource(session, name)):
        return None
    pending = select(Job).where(col(Job.resource) == name, in_state(JobState.PENDING))
    waits = session.execute(pending).scalar_one_or_none()
    accepted = session.execute(select(func.count()).where(jobs.c.resource == name)).scalar_one()
    waiting = _waiting(session, waits) if waits else None
    attempts = attempts_by_job(session, [job.id for job in found])
    return ResourceStory(name, target, quota, newest, found, attempts, accepted, waiting)


def batch_story(session: Session, batch_id: int) -> BatchStory | None:
    batch = session.get(Batch, batch_id)
    if batch is None:
        return None
    low, high = batch_id << ROW_BITS, (batch_id + 1) << ROW_BITS
    example = _open_example(session, batch)
    slowest = select(Attempt).where(col(Attempt.job_id) > low, col(Attempt.job_id) < high)
    return BatchStory(
        batch=batch,
        errors=errors_of_batch(session, batch),
        rejections=first_rejections(session, batch_id, SHOWN),
        slowest=list(session.execute(slowest.order_by(col(Attempt.latency_ms).desc()).limit(3)).scalars()),
        example=example,
        waiting=_waiting(session, example) if example else None,
        told=told_of_batch(session, batch_id),
    )


def _target_of(session: Session, job: Job) -> str:
    """The name of what a job is about: a creation's target has got it from the remote."""
    if job.kind != JobKind.TARGET_CREATION:
        return job.resource
    twins = twins_of(session, [TargetCreation.model_validate_json(job.wish)])
    return twins[job.resource].name if job.resource in twins else job.resource


def _newest(session: Session, name: str) -> Job | None:
    resource = find_resource(session, name)
    return find_job(session, resource.newest_job_id) if resource else None


def _waiting(session: Session, job: Job) -> Waiting | None:
    if job.state != JobState.PENDING:
        return None
    before = (
        select(jobs.c.id)
        .where(in_state(JobState.PENDING), jobs.c.remote == job.remote, jobs.c.lane == job.lane)
        .where(tuple_(jobs.c.due_at, jobs.c.id) < (job.due_at, job.id))
        .limit(COUNTED_AHEAD)
    )
    running = select(Job).where(col(Job.resource) == job.resource, in_state(JobState.RUNNING))
    return Waiting(
        job=job,
        now=database_now(session),
        ahead=session.execute(select(func.count()).select_from(before.subquery())).scalar_one(),
        running=session.execute(running).scalar_one_or_none(),
        quarantine=quarantine.find(session, job.remote),
        pause=pauses.longest(session, job.remote, job.lane),
        halt=halts.of_lane(session, job.remote, job.lane),
    )


def _open_example(session: Session, batch: Batch) -> Job | None:
    """One of its jobs that has not ended, a running one first: where a batch hangs, it tells why."""
    for state in (JobState.RUNNING, JobState.PENDING):
        query = select(jobs.c.id).where(jobs.c.batch_id == batch.id, in_state(state)).limit(1)
        if batch.completed_at is None and (found := session.execute(query).scalar_one_or_none()):
            return find_job(session, found)
    return None
