"""Which processes of ours are alive."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from worker.store.bulk import insert_or_replace
from worker.store.engine import database_now
from worker.store.models import Heartbeat
from worker.store.tables import heartbeats

LATELY = timedelta(seconds=45)  # loops beat every 10 s, one at a time with their work
DELIVERER = "deliverer"
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Loops:
    """Those that have beaten lately; where there are none, for how long none has, if one ever had."""

    beating: tuple[Heartbeat, ...] = ()
    silent_for: timedelta | None = None


def beat(session: Session, name: str, role: str, settings: str | None = None) -> None:
    row = {"name": name, "role": role, "seen_at": database_now(session), "settings": settings}
    insert_or_replace(session, heartbeats, [row])


def seen_within(session: Session, window: timedelta) -> list[Heartbeat]:
    since = database_now(session) - window
    query = select(Heartbeat).where(col(Heartbeat.seen_at) >= since).order_by(col(Heartbeat.role), col(Heartbeat.name))
    return list(session.execute(query).scalars())


def loops(session: Session) -> Loops:
    if beating := tuple(beat for beat in seen_within(session, LATELY) if beat.role == "loops"):
        return Loops(beating)
    last = session.execute(select(func.max(heartbeats.c.seen_at)).where(heartbeats.c.role == "loops")).scalar_one()
    return Loops(silent_for=last and database_now(session) - last)


def deliverers(session: Session) -> list[Heartbeat]:
    """Those that have beaten lately."""
    return [beat for beat in seen_within(session, LATELY) if beat.role == DELIVERER]


def has_beaten(session: Session, name: str, since: datetime) -> bool:
    beat = session.get(Heartbeat, name)
    return beat is not None and beat.seen_at >= since


def forget_old(session: Session) -> None:
    session.execute(delete(heartbeats).where(heartbeats.c.seen_at < database_now(session) - FORGOTTEN_AFTER))
