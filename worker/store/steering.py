"""What an operator does to jobs: have failed ones tried again, cancel pending ones. The batches' counters follow.

Locks in the order of acceptance: resources by name, then jobs, batches last.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import case, select, update
from sqlmodel import Session

from schemas.jobs import JobState
from worker.core.steering import Candidate, why_not_cancelled, why_not_retried
from worker.store import batches as batch_store
from worker.store.acceptance import lock_resources
from worker.store.claims import by_batch
from worker.store.engine import database_now
from worker.store.tables import batches, jobs, resources, targets

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Steered:
    """``done`` were changed, or would be; ``skipped`` says why each of the others was not."""

    done: tuple[int, ...]
    skipped: dict[int, str]


def plan_retry(session: Session, ids: Sequence[int]) -> Steered:
    """What ``retry`` would do with these ids now (at most ``AT_ONCE``); changes nothing."""
    return _judge(_candidates(session, ids), why_not_retried)


def retry(session: Session, ids: Sequence[int]) -> Steered:
    """Give failed jobs (at most ``AT_ONCE``) a fresh try: due now, what they have cost forgotten.

    They go under a new idempotency key: a remote that honours keys would only repeat its refusal. A job that may have
    been sent reads first, and takes the value we last saw as the one that was there before: a change made after this
    order is not overwritten, while what the operator could see is.
    """
    lock_resources(session, _resources_of(session, ids))
    steered = _judge(_candidates(session, ids, locked=True), why_not_retried)
    if steered.done:
        _make_pending(session, steered.done)
        _reopen(session, steered.done)
    return steered


def plan_cancel(session: Session, ids: Sequence[int]) -> Steered:
    """What ``cancel`` would do with these ids now (at most ``AT_ONCE``); changes nothing."""
    return _judge(_candidates(session, ids), why_not_cancelled)


def cancel(session: Session, ids: Sequence[int]) -> Steered:
    """End pending jobs (at most ``AT_ONCE``) unsent. What a worker holds goes on."""
    lock_resources(session, _resources_of(session, ids))
    steered = _judge(_candidates(session, ids, locked=True), why_not_cancelled)
    if steered.done:
        session.execute(
            update(jobs)
            .where(jobs.c.id.in_(steered.done))
            .values(state=JobState.CANCELLED, finished_at=database_now(session), published_until=None)
        )
        batch_store.count(session, by_batch(steered.done, "cancelled"))
    return steered


def _resources_of(session: Session, ids: Sequence[int]) -> Sequence[str]:
    return session.execute(select(jobs.c.resource).where(jobs.c.id.in_(ids))).scalars().all()


def _candidates(session: Session, ids: Sequence[int], *, locked: bool = False) -> list[Candidate]:
    """``locked`` holds the rows until the transaction ends."""
    query = (
        select(jobs.c.id, jobs.c.state, resources.c.newest_job_id)
        .join(resources, resources.c.name == jobs.c.resource)
        .where(jobs.c.id.in_(ids))
        .order_by(jobs.c.id)
    )
    rows = session.execute(query.with_for_update(of=jobs) if locked else query)
    return [Candidate(id_, JobState(state), newest) for id_, state, newest in rows]


def _judge(candidates: Sequence[Candidate], why_not: Callable[[Candidate], str | None]) -> Steered:
    reasons = {job.id: reason for job in candidates if (reason := why_not(job))}
    return Steered(tuple(job.id for job in candidates if job.id not in reasons), reasons)


def _make_pending(session: Session, ids: Sequence[int]) -> None:
    sent = (jobs.c.attempts > 0) | (jobs.c.crashes > 0)
    seen = (
        select(targets.c.target)
        .where(targets.c.name == jobs.c.resource, ~targets.c.uncertain)
        .correlate(jobs)
        .scalar_subquery()
    )
    session.execute(
        update(jobs)
        .where(jobs.c.id.in_(ids))
        .values(
            state=JobState.PENDING,
            due_at=database_now(session),
            published_until=None,
            failures=0,
            crashes=0,
            round=jobs.c.round + 1,
            read_first=case((sent, True), else_=jobs.c.read_first),
            baseline=case((seen.is_not(None), seen), else_=jobs.c.baseline),
            result=None,
            error_code=None,
            error=None,
            finished_at=None,
        )
    )


def _reopen(session: Session, ids: Sequence[int]) -> None:
    """A batch with a job to be done is not complete, whatever it was before."""
    deltas = {batch: Counter(failed=-count["failed"]) for batch, count in by_batch(ids, "failed").items()}
    batch_store.count(session, deltas)
    session.execute(update(batches).where(batches.c.id.in_(sorted(deltas))).values(completed_at=None))
