"""What is true of the installation, in numbers: what is to be done, what stands in its way, who is there to do it.

Each number is one look at an index, or at a table that stays small.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session

from worker.store import approvals, drifts, endpoints, halts, pauses, quarantine
from worker.store.depths import LaneDepth, RosterDepth, lane_depths, roster_depth
from worker.store.engine import database_now
from worker.store.heartbeats import LATELY, seen_within
from worker.store.models import Pause
from worker.store.outbox import ENABLED
from worker.store.tables import batches


@dataclass(frozen=True, slots=True)
class FleetState:
    """``endpoints`` by state, ``processes`` by role; workers are no part of it, they are known to the broker."""

    now: datetime
    lanes: Sequence[LaneDepth]
    quarantined: frozenset[str]
    pauses: Sequence[Pause]
    halts: Sequence[tuple[str, str]]
    batches_open: int
    approvals: int
    drifts: int
    roster: RosterDepth
    endpoints: Mapping[str, int]
    deliveries: int
    dead: int
    oldest_delivery: timedelta
    processes: Mapping[str, int]


def fleet_state(session: Session) -> FleetState:
    now = database_now(session)
    known = endpoints.with_depths(session)
    due = [depth.oldest_due for one, depth in known if one.state == ENABLED and depth.oldest_due]
    return FleetState(
        now=now,
        lanes=lane_depths(session, now),
        quarantined=frozenset(row.remote for row in quarantine.list_all(session)),
        pauses=pauses.standing(session),
        halts=[(halt.remote, halt.lane) for halt in halts.list_all(session)],
        batches_open=_batches_open(session),
        approvals=approvals.count_waiting(session),
        drifts=drifts.count_open(session),
        roster=roster_depth(session),
        endpoints=Counter(one.state for one, _ in known),
        deliveries=sum(depth.pending for _, depth in known),
        dead=sum(depth.dead for _, depth in known),
        oldest_delivery=max(now - min(due), timedelta(0)) if due else timedelta(0),
        processes=Counter(beat.role for beat in seen_within(session, LATELY)),
    )


def _batches_open(session: Session) -> int:
    query = select(func.count()).select_from(batches).where(batches.c.completed_at.is_(None))
    return int(session.execute(query).scalar_one())
