"""Which processes of ours are alive."""

from datetime import timedelta

from sqlalchemy import delete, select
from sqlmodel import Session, col

from worker.store.engine import database_now
from worker.store.models import Heartbeat
from worker.store.tables import heartbeats
from worker.store.upsert import insert_or_replace

FORGOTTEN_AFTER = timedelta(days=1)


def beat(session: Session, name: str, role: str, settings: str | None = None) -> None:
    row = {"name": name, "role": role, "seen_at": database_now(session), "settings": settings}
    insert_or_replace(session, heartbeats, [row])


def seen_within(session: Session, window: timedelta) -> list[Heartbeat]:
    since = database_now(session) - window
    query = select(Heartbeat).where(col(Heartbeat.seen_at) >= since).order_by(col(Heartbeat.role), col(Heartbeat.name))
    return list(session.execute(query).scalars())


def forget_old(session: Session) -> None:
    session.execute(delete(heartbeats).where(heartbeats.c.seen_at < database_now(session) - FORGOTTEN_AFTER))
