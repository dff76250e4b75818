"""The planner's work: events that wait, and agents whose time has come."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, bindparam, exists, or_, select, update
from sqlmodel import Session, col

from worker.store import wants
from worker.store.engine import NOW_ASKED_ONCE, database_now
from worker.store.pairs import pair_in
from worker.store.roster import PLANNED, WAITING, AgentKey
from worker.store.roster_models import AgentRow, RosterEventRow
from worker.store.tables import agents, roster_events

PAGE = 500


def something_to_plan(session: Session, policy_id: int) -> bool:
    """The cheap question of an idle planner."""
    called_for = or_(
        exists(select(roster_events.c.seq).where(_waits())),
        exists(select(agents.c.agent).where(agents.c.review_at <= NOW_ASKED_ONCE)),
        exists(select(agents.c.agent).where(_weighed_by_another(policy_id))),
        wants.are_unasked(),
    )
    return bool(session.execute(select(called_for)).scalar_one())


def waiting_events(session: Session) -> list[RosterEventRow]:
    query = select(RosterEventRow).where(_waits()).order_by(col(RosterEventRow.seq))
    return list(session.execute(query.limit(PAGE)).scalars())


def mark_planned(session: Session, events: Sequence[RosterEventRow]) -> None:
    numbers = [event.seq for event in events]
    planned = update(roster_events).where(roster_events.c.seq.in_(numbers))
    session.execute(planned.values(state=PLANNED, planned_at=database_now(session)))


def agents_named(session: Session, keys: Collection[AgentKey]) -> list[AgentRow]:
    """In the order in which everybody locks them."""
    query = select(AgentRow).where(pair_in(col(AgentRow.profile), col(AgentRow.agent), keys))
    return list(session.execute(query.order_by(col(AgentRow.profile), col(AgentRow.agent))).scalars())


def agents_sharing(session: Session, plans: Collection[str]) -> list[AgentRow]:
    """All who are there and have one of these plans."""
    query = select(AgentRow).where(col(AgentRow.coaching_plan_name).in_(sorted(plans)), col(AgentRow.active))
    return list(session.execute(query).scalars())


def agents_to_review(session: Session, policy_id: int) -> list[AgentRow]:
    """Those for whom a time has come, or whom the policy in force has not met."""
    due = col(AgentRow.review_at) <= database_now(session)
    query = select(AgentRow).where(or_(due, _weighed_by_another(policy_id)))
    return list(session.execute(query.order_by(col(AgentRow.profile), col(AgentRow.agent)).limit(PAGE)).scalars())


def note_weighed(session: Session, reviews: Mapping[AgentKey, datetime | None], policy_id: int) -> None:
    here = and_(agents.c.profile == bindparam("home"), agents.c.agent == bindparam("who"))
    statement = update(agents).where(here).values(policy_id=policy_id, review_at=bindparam("again"))
    rows = [{"home": profile, "who": agent, "again": again} for (profile, agent), again in sorted(reviews.items())]
    if rows:
        session.connection().execute(statement, rows)


def _waits() -> ColumnElement[bool]:
    """A literal: only so SQLite knows the index of those that wait."""
    return roster_events.c.state == bindparam(None, WAITING, literal_execute=True)


def _weighed_by_another(policy_id: int) -> ColumnElement[bool]:
    """Ranges, so that the index answers."""
    return or_(agents.c.policy_id.is_(None), agents.c.policy_id < policy_id, agents.c.policy_id > policy_id)
