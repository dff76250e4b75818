"""Jobs, batches and refused rows, newest first, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlmodel import Session, col

from schemas.ids import ROW_BITS
from schemas.jobs import JobState
from worker.store.models import Attempt, Batch, Job, Rejection
from worker.store.selection import Selection, in_state, newest_ids
from worker.store.tables import jobs

IN_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """How many jobs failed with one code, and the first of them."""

    code: str
    count: int
    example: Job


def list_jobs(session: Session, selection: Selection, limit: int, before: int | None = None) -> list[Job]:
    return find_jobs(session, newest_ids(session, selection, limit, before))


def find_jobs(session: Session, ids: Sequence[int]) -> list[Job]:
    """Those that are there, in the order asked for."""
    found: dict[int, Job] = {}
    for start in range(0, len(ids), IN_AT_ONCE):
        some = select(Job).where(col(Job.id).in_(ids[start : start + IN_AT_ONCE]))
        found |= {job.id: job for job in session.execute(some).scalars()}
    return [found[job] for job in ids if job in found]


def find_job(session: Session, job_id: int) -> Job | None:
    return session.get(Job, job_id)


def attempts_of(session: Session, job_id: int) -> list[Attempt]:
    query = select(Attempt).where(col(Attempt.job_id) == job_id).order_by(col(Attempt.id))
    return list(session.execute(query).scalars())


def attempts_by_job(session: Session, job_ids: Sequence[int]) -> dict[int, list[Attempt]]:
    """Each job's attempts, oldest first; every job that is asked for has its list."""
    query = select(Attempt).where(col(Attempt.job_id).in_(job_ids)).order_by(col(Attempt.id))
    found: dict[int, list[Attempt]] = {job: [] for job in job_ids}
    for attempt in session.execute(query).scalars():
        found[attempt.job_id].append(attempt)
    return found


def find_batch(session: Session, batch_id: int) -> Batch | None:
    return session.get(Batch, batch_id)


def list_batches(session: Session, limit: int, before: int | None = None, *, open_only: bool = False) -> list[Batch]:
    query = select(Batch).order_by(col(Batch.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(Batch.id) < before)
    if open_only:
        query = query.where(col(Batch.completed_at).is_(None))
    return list(session.execute(query).scalars())


def first_rejections(session: Session, batch_id: int, limit: int, after: int | None = None) -> list[Rejection]:
    """By the order of their rows, which is the order of the file; ``after`` one of them."""
    low, high = batch_id << ROW_BITS, (batch_id + 1) << ROW_BITS
    query = select(Rejection).where(col(Rejection.job_id) > (after or low), col(Rejection.job_id) < high)
    return list(session.execute(query.order_by(col(Rejection.job_id)).limit(limit)).scalars())


def find_rejection(session: Session, job_id: int) -> Rejection | None:
    """Of a row that never became the job it would have been."""
    return session.get(Rejection, job_id)


def errors_of_batch(session: Session, batch: Batch) -> list[ErrorCount]:
    """Failed jobs by code, most first. One look at the index per code: a batch's rows are never read through."""
    if not batch.failed:
        return []
    low, high = batch.id << ROW_BITS, (batch.id + 1) << ROW_BITS
    found = []
    for code in error_codes(session):
        query = select(func.count(), func.min(jobs.c.id)).where(
            in_state(JobState.FAILED), jobs.c.error_code == code, jobs.c.id > low, jobs.c.id < high
        )
        count, first = session.execute(query).one()
        if first is not None:
            found.append(ErrorCount(code, count, session.get_one(Job, first)))
    return sorted(found, key=lambda error: (-error.count, error.code))


def error_codes(session: Session) -> list[str]:
    """All codes that failed jobs have, found by skipping from one to the next along the index."""
    codes: list[str] = []
    failed = select(func.min(jobs.c.error_code)).where(in_state(JobState.FAILED))
    found = session.execute(failed).scalar_one()
    while found is not None:
        codes.append(found)
        found = session.execute(failed.where(jobs.c.error_code > found)).scalar_one()
    return codes
