"""Whether work may go to a remote now, and a lane of it: one look, whoever asks."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BindParameter, bindparam, exists, func, select
from sqlmodel import Session

from schemas.lanes import Lane
from worker.core.chunks import CHUNK_BUDGET
from worker.store.engine import clock
from worker.store.pauses import EVERY_LANE
from worker.store.tables import halts, pauses, quarantines


@dataclass(frozen=True, slots=True)
class Gate:
    """``now`` by the database's clock. Paused: by a person, or for longer than a chunk lasts."""

    now: datetime
    quarantined: bool
    paused: bool

    @property
    def shut(self) -> bool:
        return self.quarantined or self.paused


_REMOTE: BindParameter[str] = bindparam("remote")
_LANES: BindParameter[str] = bindparam("lanes", expanding=True)
_LOOK = select(
    clock(),
    exists().where(quarantines.c.remote == _REMOTE),
    exists().where(halts.c.remote == _REMOTE, halts.c.lane.in_(_LANES)),
    select(func.max(pauses.c.until)).where(pauses.c.remote == _REMOTE, pauses.c.lane.in_(_LANES)).scalar_subquery(),
)


def look(session: Session, remote: str, lane: Lane) -> Gate:
    now, quarantined, halted, until = session.execute(_LOOK, {"remote": remote, "lanes": (EVERY_LANE, lane)}).one()
    return Gate(now, quarantined, halted or (until is not None and until > now + CHUNK_BUDGET))
