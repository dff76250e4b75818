"""What is old enough is deleted, a batch at a time, with all that hangs on it."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlmodel import Session

from schemas.ids import ROW_BITS
from schemas.jobs import JobState
from worker.store import kept_answers
from worker.store.engine import database_now
from worker.store.heartbeats import forget_old
from worker.store.pruning_oversight import prune_oversight
from worker.store.pruning_webhooks import prune_webhooks
from worker.store.tables import attempts, batches, jobs, quota_answers, rejections

AT_ONCE = 5_000


def prune(session: Session, keep: timedelta) -> int:
    """Delete a portion of what ended before ``keep`` ago; returns the rows deleted, 0 when nothing is left.

    Each resource's version, its known target and its newest quota stay: later ones are compared with them.
    """
    forget_old(session)
    before = database_now(session) - keep
    batch = session.execute(
        select(batches.c.id)
        .where(batches.c.completed_at < before)
        .order_by(batches.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).scalar_one_or_none()
    past = (
        kept_answers.prune(session)
        + _prune_quotas(session, before)
        + prune_oversight(session, before)
        + prune_webhooks(session, before)
    )
    return past + (_prune_batch(session, batch) if batch else 0)


def _prune_batch(session: Session, batch: int) -> int:
    """Its jobs in portions, each with its attempts; the batch itself with the last.

    Its key is free from the first portion on: who offers it again meets no batch with half of its rows.
    """
    session.execute(update(batches).where(batches.c.id == batch, batches.c.key.is_not(None)).values(key=None))
    low, high = batch << ROW_BITS, (batch + 1) << ROW_BITS
    some = select(jobs.c.id).where(jobs.c.id >= low, jobs.c.id < high).order_by(jobs.c.id).limit(AT_ONCE)
    ids = session.execute(some).scalars().all()
    if ids:
        session.execute(delete(attempts).where(attempts.c.job_id >= ids[0], attempts.c.job_id <= ids[-1]))
        ended = jobs.c.state.not_in((JobState.PENDING, JobState.RUNNING))  # one may just have been retried
        session.execute(delete(jobs).where(jobs.c.id >= ids[0], jobs.c.id <= ids[-1], ended))
        return len(ids)
    session.execute(delete(rejections).where(rejections.c.batch_id == batch))
    session.execute(delete(batches).where(batches.c.id == batch))
    return 1


def _prune_quotas(session: Session, before: Any) -> int:
    newest = select(func.max(quota_answers.c.id)).group_by(quota_answers.c.resource)
    old = (
        select(quota_answers.c.id)
        .where(quota_answers.c.answered_at < before, quota_answers.c.id.not_in(newest))
        .limit(AT_ONCE)
    )
    statement = delete(quota_answers).where(quota_answers.c.id.in_(old)).returning(quota_answers.c.id)
    return len(session.execute(statement).all())
