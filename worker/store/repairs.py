"""A worker that lost its lease may have written after somebody else: the newest wish is asserted again.

The repair is a job of its own: it reads the target, and sends the newest wish where the late write has replaced it.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlmodel import Session

from api_adapter.outcomes import Operation
from schemas.ids import format_job_id, job_id
from schemas.jobs import JobState
from schemas.lanes import Lane
from worker.core.decisions import CHANGED_ELSEWHERE, Retry
from worker.store import batches as batch_store
from worker.store.acceptance import lock_resources
from worker.store.batches import NewBatch
from worker.store.claims import let_go
from worker.store.doubts import mark_uncertain
from worker.store.engine import database_now
from worker.store.records import Record
from worker.store.tables import jobs, resources


def repair(session: Session, late: Sequence[Record]) -> list[int]:
    """Accept a repair for each late record whose write may have arrived; returns the repairs' job ids."""
    suspects = {one.job.resource: one for one in late if _may_have_written(one)}
    newest = lock_resources(session, suspects)
    mark_uncertain(session, suspects)
    return [
        made
        for resource, (_, newest_id) in sorted(newest.items())
        if (made := _assert_again(session, suspects[resource], newest_id)) is not None
    ]


def _may_have_written(one: Record) -> bool:
    return any(tried.operation == Operation.UPDATE_TARGET for tried in one.tried)


def _assert_again(session: Session, late: Record, newest_id: int) -> int | None:
    resource = late.job.resource
    again_at = database_now(session)
    if isinstance(late.decision, Retry) and late.decision.read_first:
        again_at += late.decision.after  # the late write may still be at work at the remote
    pending = update(jobs).where(jobs.c.resource == resource, jobs.c.state == JobState.PENDING)
    if session.execute(pending.values(repairs=late.job.id).returning(jobs.c.id)).all():
        let_go(session, [resource], not_before=again_at)
        return None  # it is still to be sent, after the late write
    newest = session.execute(select(jobs).where(jobs.c.id == newest_id)).one_or_none()
    if newest is None or not _holds_the_remote_to_it(newest):
        return None
    if newest.wish == late.job.wish:
        return None  # the same job in other hands, or the same wish: the late write has changed nothing
    if session.execute(select(jobs.c.id).where(jobs.c.request_key == _key(late))).first():
        return None
    return _accept_repair(session, late, newest, again_at)


def _holds_the_remote_to_it(newest: Any) -> bool:
    """Not one that failed, unless it took the late write for a person's change."""
    blamed = newest.state == JobState.FAILED and newest.error_code == CHANGED_ELSEWHERE
    return blamed or newest.state in (JobState.SUCCEEDED, JobState.RUNNING)


def _key(late: Record) -> str:
    return f"repair:{format_job_id(late.job.id)}:{late.job.fence}"


def _accept_repair(session: Session, late: Record, newest: Any, due_at: datetime) -> int:
    now = database_now(session)
    label = f"{format_job_id(late.job.id)} may have written after losing its lease"
    batch = batch_store.open_batch(session, NewBatch("repair", Lane(newest.lane), label=label))
    repair_id = job_id(batch.id, 1)
    again = ["kind", "remote", "lane", "resource", "wish", "version"]
    if newest.state == JobState.RUNNING:  # it may not have been sent yet: what was there before it is still no change
        again += ["baseline", "first_sent_at"]
    row = {"first_sent_at": now} | {name: newest._mapping[name] for name in again}  # noqa: SLF001 - SQLAlchemy's documented name
    row |= {
        "id": repair_id,
        "batch_id": batch.id,
        "request_key": _key(late),
        "forced": True,
        "state": JobState.PENDING,
        "due_at": due_at,
        "read_first": True,
        "repairs": late.job.id,
        "created_at": now,
    }
    session.execute(insert(jobs), row)
    session.execute(update(resources).where(resources.c.name == newest.resource).values(newest_job_id=repair_id))
    batch_store.count(session, {batch.id: Counter(rows=1, accepted=1)})
    batch_store.seal(session, batch.id)
    return repair_id
