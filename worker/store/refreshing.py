"""When quotas were asked for last, by whomever."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session

from schemas.jobs import JobState
from worker.store.tables import jobs, resources


@dataclass(frozen=True, slots=True)
class LastAsked:
    """``open``: the answer is still awaited."""

    at: datetime
    open: bool


def last_asked(session: Session, names: Collection[str]) -> dict[str, LastAsked]:
    """Those of the resources that have been asked for and not been forgotten since."""
    query = (
        select(resources.c.name, jobs.c.created_at, jobs.c.state)
        .join_from(resources, jobs, jobs.c.id == resources.c.newest_job_id)
        .where(resources.c.name.in_(sorted(names)))
    )
    return {row.name: LastAsked(row.created_at, not JobState(row.state).final) for row in session.execute(query)}
