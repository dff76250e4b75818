"""Which jobs: the filters of listings and of steering, and the ids they come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, false, func, select
from sqlmodel import Session

from schemas.ids import ROW_BITS
from schemas.jobs import JobState
from schemas.lanes import Lane
from worker.store.sight import of_customers
from worker.store.tables import batches, jobs

FEW = 20_000  # ids that are fetched and sorted here, so that a rare state is not looked for among all jobs
_INDEXED = (JobState.PENDING, JobState.RUNNING, JobState.FAILED)
_COUNTED = (JobState.SUCCEEDED, JobState.SUPERSEDED, JobState.CANCELLED)


def in_state(state: JobState) -> ColumnElement[bool]:
    """The state as a literal: only so SQLite knows that a partial index says it already, and leaves the rows alone."""
    return jobs.c.state == bindparam(None, state.value, literal_execute=True)


@dataclass(frozen=True, slots=True)
class Selection:
    """All that is given must hold. Only failed jobs have an error code."""

    state: JobState | None = None
    error_code: str | None = None
    batch_id: int | None = None
    resource: str | None = None
    remote: str | None = None
    lane: Lane | None = None
    customers: frozenset[str] | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        columns = jobs.c
        given: list[tuple[ColumnElement[bool], Any]] = [
            (columns.error_code == self.error_code, self.error_code),
            (columns.batch_id == self.batch_id, self.batch_id),
            (columns.resource == self.resource, self.resource),
            (columns.remote == self.remote, self.remote),
            (columns.lane == self.lane, self.lane),
        ]
        held = [condition for condition, value in given if value is not None]
        if self.customers is not None:
            held.append(of_customers(columns.resource, self.customers))
        return held if self.state is None else [in_state(self.state), *held]


def newest_ids(session: Session, selection: Selection, limit: int, before: int | None = None) -> list[int]:
    """The newest ids first, those under ``before`` only."""
    if selection.state in _INDEXED:
        few = session.execute(select(jobs.c.id).where(*selection.conditions).limit(FEW + 1)).scalars().all()
        if len(few) <= FEW:
            return sorted((job for job in few if before is None or job < before), reverse=True)[:limit]
    held = [*selection.conditions, *_span(session, selection)]
    if before is not None:
        held.append(jobs.c.id < before)
    return list(session.execute(select(jobs.c.id).where(*held).order_by(jobs.c.id.desc()).limit(limit)).scalars())


def all_ids(session: Session, selection: Selection) -> Sequence[int]:
    """All of them at once, oldest first: some megabytes for a million, and one look at the table."""
    return sorted(session.execute(select(jobs.c.id).where(*selection.conditions)).scalars())


def some_ids(session: Session, selection: Selection, after: int, limit: int) -> Sequence[int]:
    """The oldest ones after an id."""
    held = [*selection.conditions, *_span(session, selection), jobs.c.id > after]
    return session.execute(select(jobs.c.id).where(*held).order_by(jobs.c.id).limit(limit)).scalars().all()


def _span(session: Session, selection: Selection) -> list[ColumnElement[bool]]:
    """The ids between which such jobs are at all: of one batch, or of those whose counter says that there are some."""
    first = last = selection.batch_id
    if first is None and selection.state in _COUNTED:
        counted = select(func.min(batches.c.id), func.max(batches.c.id)).where(batches.c[selection.state] > 0)
        first, last = session.execute(counted).one()
        if first is None:
            return [false()]
    if first is None or last is None:
        return []
    return [jobs.c.id > first << ROW_BITS, jobs.c.id < (last + 1) << ROW_BITS]
