"""Browsers that are signed in to the console."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, or_, select, update
from sqlmodel import Session, col

from worker.store.console_models import ConsoleSession
from worker.store.engine import database_now
from worker.store.tables import console_sessions

SEEN_EVERY = timedelta(minutes=1)  # a write for each page would be one too many


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session may last in all, and how long it may be idle."""

    lasts: timedelta
    idle: timedelta


def open_session(session: Session, digest: str, token_id: str, limits: Limits) -> None:
    """Those that have ended are deleted on the way."""
    now = database_now(session)
    over = or_(console_sessions.c.ends_at <= now, console_sessions.c.seen_at <= now - limits.idle)
    session.execute(delete(console_sessions).where(over))
    session.add(
        ConsoleSession(digest=digest, token_id=token_id, opened_at=now, seen_at=now, ends_at=now + limits.lasts)
    )
    session.flush()


def find(session: Session, digest: str, idle: timedelta) -> ConsoleSession | None:
    """One that is still open."""
    now = database_now(session)
    query = select(ConsoleSession).where(
        col(ConsoleSession.digest) == digest,
        col(ConsoleSession.ends_at) > now,
        col(ConsoleSession.seen_at) > now - idle,
    )
    return session.execute(query).scalar_one_or_none()


def is_stale(session: Session, found: ConsoleSession) -> bool:
    """Whether it is time to note that somebody is still there."""
    return database_now(session) - found.seen_at >= SEEN_EVERY


def note_seen(session: Session, digest: str) -> None:
    here = console_sessions.c.digest == digest
    session.execute(update(console_sessions).where(here).values(seen_at=database_now(session)))


def close(session: Session, digest: str) -> None:
    session.execute(delete(console_sessions).where(console_sessions.c.digest == digest))
