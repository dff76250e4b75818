"""A worker that lost its lease may have written after somebody else: the newest wish is asserted again.

The repair is a job of its own: it reads the target, and sends the newest wish where the late write has replaced it.
"""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlmodel import Session

from schemas.ids import ROW_BITS, format_job_id, job_id
from schemas.jobs import JobKind, JobState, TargetUpdate
from schemas.lanes import Lane
from worker.store import batches as batch_store
from worker.store.acceptance import lock_resources
from worker.store.batches import NewBatch
from worker.store.claims import mark_uncertain
from worker.store.engine import database_now
from worker.store.records import Record
from worker.store.tables import jobs


def repair(session: Session, late: Sequence[Record]) -> list[int]:
    """Accept a repair for each late record whose write may have arrived; returns the repairs' job ids."""
    suspects = {one.job.resource: one for one in late if one.tried and one.job.kind is JobKind.TARGET_UPDATE}
    mark_uncertain(session, list(suspects))
    newest = lock_resources(session, suspects)
    return [
        made
        for resource, (_, newest_id) in sorted(newest.items())
        if (made := _assert_again(session, suspects[resource], newest_id)) is not None
    ]


def _assert_again(session: Session, late: Record, newest_id: int) -> int | None:
    if newest_id == late.job.id:
        return None  # whoever took it over sends the same wish
    pending = select(jobs.c.id).where(jobs.c.resource == late.job.resource, jobs.c.state == JobState.PENDING)
    if session.execute(pending).first():
        return None  # it is still to be sent, after the late write
    newest = session.execute(select(jobs).where(jobs.c.id == newest_id)).one()
    if newest.state not in (JobState.SUCCEEDED, JobState.RUNNING):
        return None  # nobody holds the remote to a wish that failed or was cancelled
    key = f"repair:{format_job_id(late.job.id)}:{late.job.fence}"
    if session.execute(select(jobs.c.id).where(jobs.c.request_key == key)).first():
        return None
    now = database_now(session)
    label = f"{format_job_id(late.job.id)} may have written after losing its lease"
    batch = batch_store.open_batch(session, NewBatch("repair", Lane(newest.lane), label=label))
    row = {name: newest._mapping[name] for name in ("kind", "remote", "lane", "resource", "wish", "version")}  # noqa: SLF001 - SQLAlchemy's documented name
    repair_id = job_id(batch.id, 1)
    session.execute(
        insert(jobs),
        row
        | {
            "id": repair_id,
            "batch_id": batch.id,
            "request_key": key,
            "forced": True,
            "state": JobState.PENDING,
            "due_at": now,
            "read_first": True,
            "first_sent_at": now,
            "baseline": TargetUpdate.model_validate_json(late.job.wish).target,
            "created_at": now,
        },
    )
    batch_store.count(session, {batch.id: Counter(rows=1, accepted=1)})
    batch_store.seal(session, repair_id >> ROW_BITS)
    return repair_id
