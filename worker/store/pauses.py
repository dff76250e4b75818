"""How long a remote is left alone: waits that outlast a chunk, and so must not occupy a worker process.

A cooldown that the remote has asked for is for every lane, and is kept where a lost broker cannot lose it.
"""

from datetime import timedelta

from sqlalchemy import and_, delete, select, update
from sqlmodel import Session, col

from schemas.lanes import Lane
from worker.store.bulk import insert_if_missing
from worker.store.engine import database_now
from worker.store.models import Pause
from worker.store.tables import pauses

EVERY_LANE = "every"


def pause(session: Session, remote: str, lane: Lane | None, wait: timedelta) -> None:
    """Leave the remote alone, or one lane of it; the longest pause counts."""
    row = {"remote": remote, "lane": lane or EVERY_LANE, "until": database_now(session) + wait}
    if not insert_if_missing(session, pauses, row):
        here = and_(pauses.c.remote == remote, pauses.c.lane == row["lane"])
        longer = update(pauses).where(here, pauses.c.until < row["until"]).values(until=row["until"])
        session.execute(longer)


def cooldown(session: Session, remote: str) -> timedelta:
    """What is left of the wait that the remote has asked for."""
    query = select(pauses.c.until).where(pauses.c.remote == remote, pauses.c.lane == EVERY_LANE)
    until = session.execute(query).scalar_one_or_none()
    return max(timedelta(0), until - database_now(session)) if until else timedelta(0)


def standing(session: Session) -> list[Pause]:
    """Those that are not over yet, of every remote."""
    query = select(Pause).where(col(Pause.until) > database_now(session))
    return list(session.execute(query.order_by(col(Pause.remote), col(Pause.lane))).scalars())


def longest(session: Session, remote: str, lane: Lane) -> Pause | None:
    """Of those that hold this lane back."""
    here = (one for one in standing(session) if one.remote == remote and one.lane in (EVERY_LANE, lane))
    return max(here, key=lambda one: one.until, default=None)


def end_all(session: Session, remote: str) -> None:
    """Whatever the remote has asked for, and whichever lane's limit is used up."""
    ended = delete(pauses).where(pauses.c.remote == remote)
    session.execute(ended)
