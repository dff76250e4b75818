"""Which due rows go to the broker next. A row is *published* until a time: then nobody took it, and it goes again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, case, func, literal, or_, select, true, update
from sqlmodel import Session

from schemas.jobs import JobState
from schemas.lanes import Lane
from worker.core.decisions import ALONE_AFTER, AMBIGUOUS_PAUSE
from worker.store.engine import NOW_ASKED_ONCE, database_now
from worker.store.tables import jobs

PUBLISHED_FOR = timedelta(seconds=30)  # a message not taken by then was lost; two for one job do no harm


@dataclass(frozen=True, slots=True)
class Due:
    """Rows marked as published: whole chunks' worth, and those that must travel alone: they have lost workers."""

    together: list[int]
    alone: list[int]


def something_due(session: Session) -> bool:
    """Whether any row could go to the broker now: the cheap question of an idle dispatcher."""
    due = select(jobs.c.id).where(jobs.c.state == JobState.PENDING, _unpublished_and_due(NOW_ASKED_ONCE))
    ordered = due.order_by(jobs.c.remote, jobs.c.lane, jobs.c.due_at, jobs.c.id)  # as its index: never the whole table
    return session.execute(ordered.limit(1)).first() is not None


def take_due(session: Session, remote: str, lane: Lane, window: int, least: int = 1) -> Due:
    """Mark due rows as published, oldest first, so that at most ``window`` of this remote and lane are out.

    None before there is room for ``least``: the crumbs of a full window make chunks that end before they have begun.
    """
    now = database_now(session)
    room = window - _published(session, remote, lane)
    if room < least:
        return Due([], [])
    due = (
        select(jobs.c.id)
        .where(
            jobs.c.state == JobState.PENDING, jobs.c.remote == remote, jobs.c.lane == lane, _unpublished_and_due(now)
        )
        .order_by(jobs.c.due_at, jobs.c.id)
        .limit(room)
    )
    return _publish(session, due)


def take_probe(session: Session, remote: str) -> Due:
    """The job to probe a quarantined remote with: the one that has waited longest."""
    least = (
        select(jobs.c.id)
        .where(jobs.c.state == JobState.PENDING, jobs.c.remote == remote)
        .where(or_(~jobs.c.read_first, jobs.c.due_at <= database_now(session)))  # a doubtful write may still be at work
        .order_by(jobs.c.due_at, jobs.c.id)
        .limit(1)
    )
    return _publish(session, least, due_now=True)


def unpublish(session: Session, ids: Sequence[int]) -> None:
    """These were in a message and nobody took them, or the message could not be sent: they may go again at once."""
    unpublish_where(session, jobs.c.id.in_(ids))


def unpublish_all(session: Session) -> int:
    """The broker has lost what it held: every published row may go again at once."""
    return unpublish_where(session, true())


def unpublish_where(session: Session, condition: ColumnElement[bool]) -> int:
    published = select(jobs.c.id).where(
        jobs.c.state == JobState.PENDING, jobs.c.published_until.is_not(None), condition
    )
    return len(_update_free(session, published, {"published_until": None}))


def make_due(session: Session, condition: ColumnElement[bool]) -> int:
    """These wait for a time that means nothing any more: they may go at once. Returns how many there were.

    A write in doubt may still be at work at the remote: that much it goes on waiting.
    """
    waiting, now = select(jobs.c.id).where(jobs.c.state == JobState.PENDING, condition), database_now(session)
    at_once, soon = (literal(one, jobs.c.due_at.type) for one in (now, now + AMBIGUOUS_PAUSE))
    due_at = case((jobs.c.read_first, soon), else_=at_once)
    return len(_update_free(session, waiting, {"due_at": due_at, "published_until": None}))


def _publish(session: Session, chosen: Select[tuple[int]], *, due_now: bool = False) -> Due:
    now = database_now(session)
    values: dict[str, Any] = {"published_until": now + PUBLISHED_FOR} | ({"due_at": now} if due_now else {})
    rows = _update_free(session, chosen, values)
    alone = [row.id for row in rows if row.crashes >= ALONE_AFTER]
    return Due([row.id for row in rows if row.crashes < ALONE_AFTER], alone)


def _update_free(session: Session, chosen: Select[tuple[int]], values: dict[str, Any]) -> list[Any]:
    """Update the chosen rows that no other transaction holds: whoever holds one is about to move it.

    Nothing here waits for a job's row, so it may be locked without its resource. The CTE is evaluated once: PostgreSQL
    may run a subquery again for each row, and a LIMIT then limits nothing.
    """
    free = chosen.with_for_update(skip_locked=True).cte("free")
    statement = update(jobs).where(jobs.c.id.in_(select(free.c.id))).values(values).returning(jobs.c.id, jobs.c.crashes)
    return sorted(session.execute(statement).all())


def _unpublished_and_due(now: datetime | ScalarSelect[datetime]) -> ColumnElement[bool]:
    return and_(jobs.c.due_at <= now, or_(jobs.c.published_until.is_(None), jobs.c.published_until <= now))


def _published(session: Session, remote: str, lane: Lane) -> int:
    query = (
        select(func.count())
        .select_from(jobs)
        .where(jobs.c.state == JobState.PENDING, jobs.c.published_until > database_now(session))
        .where(jobs.c.remote == remote, jobs.c.lane == lane)
    )
    published: int = session.execute(query).scalar_one()
    return published
