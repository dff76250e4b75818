"""Events of the roster are planned, each once: the quotas that they ask for, the wants that they change."""

from collections.abc import Sequence

from sqlmodel import Session

from schemas.roster import RosterAgent
from worker.core.policy import quota_asks
from worker.planning.placing import Placing
from worker.planning.weighing import weigh
from worker.store import asks, planning
from worker.store.asks import NewAsk
from worker.store.policies import InForce
from worker.store.roster_models import RosterEventRow


def plan_events(session: Session, force: InForce, placing: Placing) -> int:
    """A page of those that wait; returns their number."""
    events = planning.waiting_events(session)
    if not events:
        return 0
    _ask_quotas(session, force, placing, events)
    newest = {(event.profile, event.agent): event.seq for event in events}
    weigh(session, force, planning.agents_named(session, newest.keys()), newest)
    planning.mark_planned(session, events)
    return len(events)


def _ask_quotas(session: Session, force: InForce, placing: Placing, events: Sequence[RosterEventRow]) -> None:
    asked = [
        (event.seq, ask)
        for event in events
        for ask in quota_asks(_agent(event.before), _agent(event.after), force.policy)
    ]
    wishes = {ask.wish.resource: ask.wish for _, ask in asked}
    placed = placing.place(session, wishes.values(), f"events {events[0].seq} to {events[-1].seq}")
    asks.keep(
        session,
        [NewAsk(seq, ask.rule, ask.wish.resource, placed.jobs.get(ask.wish.resource)) for seq, ask in asked],
    )


def _agent(record: str | None) -> RosterAgent | None:
    return RosterAgent.model_validate_json(record) if record else None
