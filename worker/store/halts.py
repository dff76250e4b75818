"""What a person has paused: it is left alone until a person resumes it, whatever the remote or the limits say."""

from sqlalchemy import delete, select
from sqlmodel import Session, col

from schemas.lanes import Lane
from worker.store.bulk import insert_if_missing
from worker.store.console_models import Halt
from worker.store.engine import database_now
from worker.store.pauses import EVERY_LANE
from worker.store.tables import halts


def halt(session: Session, remote: str, lane: Lane | None, who: str, why: str | None = None) -> bool:
    """False where it was halted already."""
    row = {"remote": remote, "lane": lane or EVERY_LANE, "since": database_now(session), "who": who, "why": why}
    return insert_if_missing(session, halts, row)


def resume(session: Session, remote: str, lane: Lane | None) -> int:
    """One lane, or without one all that is halted of the remote. Returns how many halts that ended."""
    ended = delete(halts).where(halts.c.remote == remote)
    if lane is not None:
        ended = ended.where(halts.c.lane == lane)
    return len(session.execute(ended.returning(halts.c.lane)).all())


def list_all(session: Session) -> list[Halt]:
    return list(session.execute(select(Halt).order_by(col(Halt.remote), col(Halt.lane))).scalars())


def of_lane(session: Session, remote: str, lane: Lane) -> Halt | None:
    """What holds this lane back: the halt of the whole remote first."""
    here = (one for one in list_all(session) if one.remote == remote and one.lane in (EVERY_LANE, lane))
    return min(here, key=lambda one: one.lane != EVERY_LANE, default=None)
