"""When something is looked at again. A row is the turn: whoever takes it has it until ``due_at``."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlmodel import Session

from worker.store.bulk import insert_missing
from worker.store.engine import NOW_ASKED_ONCE, database_now
from worker.store.tables import cadences

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """``pause`` is how long the last one waited, zero for the first."""

    name: str
    pause: timedelta


def listing_of(profile: str) -> str:
    """The cadence at which a profile's targets are looked at."""
    return f"targets {profile}"


def make_known(session: Session, names: Iterable[str]) -> None:
    """What is not known yet is due at once."""
    now = database_now(session)
    insert_missing(session, cadences, [{"name": name, "due_at": now, "pause": 0.0} for name in sorted(set(names))])


def take_turn(session: Session, name: str, lasts: timedelta) -> Turn | None:
    """The turn, if it is due and nobody else has it; it is somebody else's after ``lasts``, unless it is set anew."""
    now = database_now(session)
    free = (
        select(cadences.c.name)
        .where(cadences.c.name == name, cadences.c.due_at <= now)
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    statement = (
        update(cadences)
        .where(cadences.c.name.in_(select(free.c.name)))
        .values(due_at=now + lasts)
        .returning(cadences.c.pause)
    )
    pause = session.execute(statement).scalar_one_or_none()
    return None if pause is None else Turn(name, timedelta(seconds=pause))


def set_next(session: Session, name: str, pause: timedelta, *, due_at: datetime | None = None) -> None:
    """The next look comes after ``pause``, or at ``due_at`` if that is sooner."""
    due = database_now(session) + pause
    values = {"due_at": min(due, due_at) if due_at else due, "pause": pause / _SECOND}
    session.execute(update(cadences).where(cadences.c.name == name).values(values))


def slower(session: Session, name: str, every: timedelta, at_most: timedelta) -> timedelta:
    """Twice the last pause, while nothing changes: from ``every`` up to ``at_most``."""
    query = select(cadences.c.pause).where(cadences.c.name == name)
    last = timedelta(seconds=session.execute(query).scalar_one_or_none() or 0.0)
    return min(max(every, last * 2), max(every, at_most))


def postpone(session: Session, name: str, wait: timedelta) -> None:
    """The next look comes after ``wait``; the pace stays as it is."""
    due = database_now(session) + wait
    session.execute(update(cadences).where(cadences.c.name == name).values(due_at=due))


def hasten(session: Session, names: Iterable[str]) -> None:
    """Look as soon as may be: somebody waits for it."""
    now = database_now(session)
    make_known(session, names := sorted(set(names)))
    session.execute(update(cadences).where(cadences.c.name.in_(names), cadences.c.due_at > now).values(due_at=now))


def known(session: Session, names: Iterable[str]) -> set[str]:
    """Those that have been looked at, or are about to be."""
    return set(session.execute(select(cadences.c.name).where(cadences.c.name.in_(sorted(names)))).scalars())


def due(session: Session, prefix: str) -> list[str]:
    """The names that begin so and are due, the longest due first."""
    query = select(cadences.c.name).where(cadences.c.due_at <= NOW_ASKED_ONCE).order_by(cadences.c.due_at)
    return [name for name in session.execute(query).scalars() if name.startswith(prefix)]
