"""What the planner reads and writes: waiting events, agents to weigh, wants and asks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, insert, or_, select, tuple_, update
from sqlmodel import Session, col

from schemas.jobs import JobState
from worker.core.policy import WantedTarget
from worker.store.engine import database_now
from worker.store.roster import PLANNED, WAITING, AgentKey
from worker.store.roster_models import AgentRow, RosterEventRow, Want
from worker.store.tables import agents, asks, jobs, reconciliations, roster_events, targets, wants
from worker.store.upsert import insert_or_replace

PAGE = 500
_BULK: Any = {"synchronize_session": False}
_OPEN = (JobState.PENDING, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class NewAsk:
    """``event``: the number of the event that asked."""

    event: int
    rule: str
    resource: str
    job_id: int | None = None


def something_to_plan(session: Session, policy_id: int) -> bool:
    """The cheap question of an idle planner."""
    queries = (
        select(roster_events.c.seq).where(roster_events.c.state == WAITING),
        select(wants.c.identity).where(_unasked()),
        select(agents.c.agent).where(agents.c.review_at <= database_now(session)),
        select(agents.c.agent).where(_weighed_by_another(policy_id)),
    )
    return any(session.execute(query.limit(1)).first() is not None for query in queries)


def waiting_events(session: Session) -> list[RosterEventRow]:
    query = select(RosterEventRow).where(col(RosterEventRow.state) == WAITING).order_by(col(RosterEventRow.seq))
    return list(session.execute(query.limit(PAGE)).scalars())


def mark_planned(session: Session, events: Sequence[RosterEventRow]) -> None:
    numbers = [event.seq for event in events]
    planned = update(roster_events).where(roster_events.c.seq.in_(numbers))
    session.execute(planned.values(state=PLANNED, planned_at=database_now(session)), execution_options=_BULK)


def agents_named(session: Session, keys: Collection[AgentKey]) -> list[AgentRow]:
    query = select(AgentRow).where(tuple_(col(AgentRow.profile), col(AgentRow.agent)).in_(sorted(keys)))
    return list(session.execute(query).scalars()) if keys else []


def agents_to_review(session: Session, policy_id: int) -> list[AgentRow]:
    """Those for whom a time has come, or whom the policy in force has not met."""
    due = col(AgentRow.review_at) <= database_now(session)
    query = select(AgentRow).where(or_(due, _weighed_by_another(policy_id)))
    return list(session.execute(query.order_by(col(AgentRow.profile), col(AgentRow.agent)).limit(PAGE)).scalars())


def all_agents(session: Session, profile_after: AgentKey, limit: int) -> list[AgentRow]:
    key = tuple_(col(AgentRow.profile), col(AgentRow.agent))
    query = select(AgentRow).where(key > profile_after).order_by(col(AgentRow.profile), col(AgentRow.agent))
    return list(session.execute(query.limit(limit)).scalars())


def note_weighed(session: Session, reviews: Mapping[AgentKey, datetime | None], policy_id: int) -> None:
    if not reviews:
        return
    here = and_(agents.c.profile == bindparam("home"), agents.c.agent == bindparam("who"))
    statement = update(agents).where(here).values(policy_id=policy_id, review_at=bindparam("again"))
    rows = [{"home": profile, "who": agent, "again": again} for (profile, agent), again in sorted(reviews.items())]
    session.connection().execute(statement, rows)


def wants_of(session: Session, keys: Collection[AgentKey]) -> dict[str, Want]:
    """What was wanted so far of the targets of these agents."""
    if not keys:
        return {}
    query = select(Want).where(tuple_(col(Want.profile), col(Want.agent)).in_(sorted(keys)))
    return {want.identity: want for want in session.execute(query).scalars()}


def keep_wants(session: Session, wanted: Mapping[WantedTarget, int | None]) -> None:
    """New or changed wants, each with the event behind it: they are to become wishes."""
    now = database_now(session)
    rows = [
        asdict(one) | {"event_seq": event, "wanted_at": now, "asked": False, "job_id": None, "obstacle": None}
        for one, event in sorted(wanted.items(), key=lambda item: item[0].identity)
    ]
    insert_or_replace(session, wants, rows)


def rename_rules(session: Session, wanted: Iterable[WantedTarget]) -> None:
    """The same value by another rule is no new wish."""
    rows = [{"what": one.identity, "by": one.rule, "may": one.creates, "mode": one.drift} for one in wanted]
    if rows:
        statement = update(wants).where(wants.c.identity == bindparam("what"))
        values: dict[str, Any] = {
            "rule": bindparam("by"),
            "creates": bindparam("may"),
            "drift": bindparam("mode"),
            "obstacle": None,
        }
        session.connection().execute(statement.values(values), rows)


def drop_wants(session: Session, identities: Collection[str]) -> None:
    if identities:
        session.execute(delete(wants).where(wants.c.identity.in_(sorted(identities))), execution_options=_BULK)


def keep_asks(session: Session, new: Sequence[NewAsk]) -> None:
    rows = [{"event_seq": ask.event, "rule": ask.rule, "resource": ask.resource, "job_id": ask.job_id} for ask in new]
    if rows:
        session.execute(insert(asks), rows)


def unasked_wants(session: Session) -> list[Want]:
    query = select(Want).where(_unasked()).order_by(col(Want.identity)).limit(PAGE)
    return list(session.execute(query).scalars())


def names_by_identity(session: Session, some: Sequence[Want]) -> dict[tuple[str, str, str, str], str]:
    """Known targets: (template, usecase, criterion, plan) → name; of several for the same, the first by name."""
    columns = targets.c
    plans = sorted({want.coaching_plan_name for want in some})
    query = select(
        columns.scorecard_template_name,
        columns.usecase_name,
        columns.criterion_or_chapter_id,
        columns.coaching_plan_name,
        columns.name,
    ).where(columns.coaching_plan_name.in_(plans))
    found: dict[tuple[str, str, str, str], str] = {}
    for *identity, name in session.execute(query.order_by(columns.name.desc())):
        found[identity[0], identity[1], identity[2], identity[3]] = name
    return found


def open_jobs(session: Session, names: Collection[str]) -> set[str]:
    """Those of the resources that somebody is about to work on."""
    query = select(jobs.c.resource).where(jobs.c.resource.in_(sorted(names)), jobs.c.state.in_(_OPEN))
    return set(session.execute(query).scalars())


def listed_since(session: Session, profiles: Collection[str]) -> dict[str, tuple[datetime | None, bool]]:
    """When the last complete pass over each profile began, and whether the remote lists its targets at all."""
    columns = reconciliations.c
    query = (
        select(columns.profile, columns.started_at, columns.reads)
        .where(columns.profile.in_(sorted(profiles)), columns.finished_at.is_not(None), columns.error.is_(None))
        .order_by(columns.id)
    )
    found = {row.profile: (row.started_at, row.reads == "list") for row in session.execute(query)}
    return {profile: found.get(profile, (None, True)) for profile in profiles}


def mark_asked(session: Session, job_ids: Mapping[str, int]) -> None:
    """These wants have become wishes; so have the asks behind them."""
    if not job_ids:
        return
    rows = [{"what": identity, "job": job} for identity, job in sorted(job_ids.items())]
    connection = session.connection()
    connection.execute(
        update(wants).where(wants.c.identity == bindparam("what")).values(asked=True, job_id=bindparam("job")), rows
    )
    behind = update(asks).where(asks.c.resource == bindparam("what"), asks.c.job_id.is_(None))
    connection.execute(behind.values(job_id=bindparam("job")), rows)


def mark_hindered(session: Session, obstacles: Mapping[str, str]) -> None:
    rows = [{"what": identity, "why": why} for identity, why in sorted(obstacles.items())]
    if rows:
        statement = update(wants).where(wants.c.identity == bindparam("what")).values(obstacle=bindparam("why"))
        session.connection().execute(statement, rows)


def clear_obstacles(session: Session, profile: str) -> None:
    """Something is known now that was not: wants that were hindered are weighed again."""
    hindered = and_(wants.c.profile == profile, ~wants.c.asked, wants.c.obstacle.is_not(None))
    session.execute(update(wants).where(hindered).values(obstacle=None), execution_options=_BULK)


def ask_again(session: Session, job_ids: Collection[int]) -> None:
    """What these jobs were to create is there, with another value: the want is to become an update."""
    if job_ids:
        again = update(wants).where(wants.c.job_id.in_(sorted(job_ids)))
        session.execute(again.values(asked=False, job_id=None), execution_options=_BULK)


def _unasked() -> ColumnElement[bool]:
    return and_(~wants.c.asked, wants.c.obstacle.is_(None))


def _weighed_by_another(policy_id: int) -> ColumnElement[bool]:
    """Ranges, so that the index answers."""
    return or_(agents.c.policy_id.is_(None), agents.c.policy_id < policy_id, agents.c.policy_id > policy_id)
