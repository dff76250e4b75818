"""Which event asked for what, by which rule: what ``coachsync explain`` tells of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, insert, update
from sqlmodel import Session

from worker.store.tables import asks


@dataclass(frozen=True, slots=True)
class NewAsk:
    """``event``: the number of the event that asked. ``resource``: a quota, or what a wanted target is for."""

    event: int
    rule: str
    resource: str
    job_id: int | None = None


def keep(session: Session, new: Sequence[NewAsk]) -> None:
    rows = [{"event_seq": ask.event, "rule": ask.rule, "resource": ask.resource, "job_id": ask.job_id} for ask in new]
    if rows:
        session.execute(insert(asks), rows)


def answer(session: Session, job_ids: Mapping[str, int]) -> None:
    """What was asked for has become these jobs."""
    rows = [{"what": resource, "job": job} for resource, job in sorted(job_ids.items())]
    if rows:
        still_open = update(asks).where(asks.c.resource == bindparam("what"), asks.c.job_id.is_(None))
        session.connection().execute(still_open.values(job_id=bindparam("job")), rows)
