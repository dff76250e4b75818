"""What a survey of a remote's targets leaves behind: its requests, and what is known from then on."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session

from schemas.coaching import Target
from schemas.jobs import JobState
from worker.store.acceptance import lock_resources
from worker.store.reconciling import keep_found
from worker.store.records import Tried, Worker, record_read
from worker.store.tables import jobs, targets

_OPEN = (JobState.PENDING, JobState.RUNNING)


def record_survey(
    session: Session, found: Mapping[str, Target], tried: Sequence[Tried], worker: Worker, since: datetime
) -> None:
    """A target that a job is about, or that was shown to somebody after ``since``, is left to them."""
    for one in tried:
        record_read(session, one, worker)
    names = sorted(found)
    lock_resources(session, names)
    busy = select(jobs.c.resource).where(jobs.c.resource.in_(names), jobs.c.state.in_(_OPEN))
    newer = select(targets.c.name).where(targets.c.name.in_(names), targets.c.known_at >= since)
    left = set(session.execute(busy).scalars()) | set(session.execute(newer).scalars())
    keep_found(session, [found[name] for name in names if name not in left and _holds_numbers(found[name])])


def _holds_numbers(target: Target) -> bool:
    """A remote may answer NaN or 1e400: no database keeps that."""
    return math.isfinite(target.target) and math.isfinite(target.qa_score or 0.0)
