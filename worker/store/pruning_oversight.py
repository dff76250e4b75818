"""What is old enough of the roster's and the reconciliation's past is deleted.

An event that is told again after that changes nothing: the facts of an agent keep the time of each.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, Table, delete, func, select
from sqlmodel import Session

from worker.store.records import NO_JOB
from worker.store.roster import PLANNED, REJECTED, newest_whole
from worker.store.tables import asks, attempts, drifts, reconciliations, roster_events, set_aside

AT_ONCE = 5_000


def prune_oversight(session: Session, before: datetime) -> int:
    """A portion of each kind; returns the rows deleted.

    What is held or still differs stays, and each profile's last whole pass and newest whole roster.
    """
    columns = reconciliations.c
    whole = select(func.max(columns.id)).where(columns.finished_at.is_not(None), columns.error.is_(None))
    ended = (columns.finished_at < before) & columns.id.not_in(whole.group_by(columns.profile))
    return (
        _prune_events(session, before)
        + _delete_some(session, attempts, (attempts.c.job_id == NO_JOB) & (attempts.c.started_at < before))
        + _delete_some(session, drifts, drifts.c.closed_at < before)
        + _delete_some(session, reconciliations, ended)
        + _delete_some(session, set_aside, set_aside.c.at < before)
    )


def _prune_events(session: Session, before: datetime) -> int:
    """In the order in which they came, so that only what is old is looked at."""
    columns = roster_events.c
    recent = select(columns.seq).where(columns.received_at >= before).order_by(columns.seq).limit(1)
    first_recent = session.execute(recent).scalar_one_or_none()
    old = select(columns.seq).where(columns.state.in_((PLANNED, REJECTED)))
    if first_recent is not None:
        old = old.where(columns.seq < first_recent)
    found = session.execute(old.add_columns(columns.profile, columns.agent).order_by(columns.seq).limit(AT_ONCE)).all()
    newest = {newest_whole(session, profile) for profile in {row.profile for row in found if not row.agent}}
    ids = [row.seq for row in found if row.seq not in newest]
    if not ids:
        return 0
    session.execute(delete(asks).where(asks.c.event_seq >= ids[0], asks.c.event_seq.in_(ids)))
    session.execute(delete(roster_events).where(columns.seq.in_(ids)))
    return len(ids)


def _delete_some(session: Session, table: Table, old: ColumnElement[bool]) -> int:
    some = select(table.c.id).where(old).limit(AT_ONCE)
    statement = delete(table).where(table.c.id.in_(some)).returning(table.c.id)
    return len(session.execute(statement).all())
