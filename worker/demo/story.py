"""What the demo tells at its end: read from the store and from the sandbox, never assumed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlmodel import Session

from schemas.ids import ROW_BITS, format_job_id
from worker.store.models import Batch
from worker.store.tables import attempts, jobs, rejections

SHOWN = 4


@dataclass(frozen=True, slots=True)
class Story:
    """``refused`` holds (line, field, reason), ``trouble`` (what came back, how often)."""

    batch: Batch
    requests: int
    refused: Sequence[tuple[int, str, str]]
    trouble: Sequence[tuple[str, int]]
    retried: tuple[str, str] | None


def tell(session: Session, batch_id: int) -> Story:
    batch = session.get_one(Batch, batch_id, populate_existing=True)
    ours = (attempts.c.job_id >= batch_id << ROW_BITS, attempts.c.job_id < (batch_id + 1) << ROW_BITS)
    requests: int = session.execute(select(func.count()).select_from(attempts).where(*ours)).scalar_one()
    what = func.coalesce(attempts.c.message, attempts.c.outcome)
    trouble = session.execute(
        select(what, func.count())
        .where(*ours, attempts.c.outcome != "answered")
        .group_by(what)
        .order_by(func.count().desc())
        .limit(SHOWN)
    )
    return Story(
        batch=batch,
        requests=requests,
        refused=_refused(session, batch_id),
        trouble=[(str(message), count) for message, count in trouble],
        retried=_retried(session, batch_id),
    )


def _refused(session: Session, batch_id: int) -> list[tuple[int, str, str]]:
    query = select(rejections.c.line, rejections.c.field, rejections.c.reason)
    some = query.where(rejections.c.batch_id == batch_id).order_by(rejections.c.job_id).limit(SHOWN)
    return [(line, field, reason) for line, field, reason in session.execute(some)]


def _retried(session: Session, batch_id: int) -> tuple[str, str] | None:
    query = select(jobs.c.id, jobs.c.resource).where(jobs.c.batch_id == batch_id, jobs.c.state == "succeeded")
    row = session.execute(query.order_by(jobs.c.attempts.desc(), jobs.c.id).limit(1)).first()
    return (format_job_id(row.id), row.resource) if row else None
