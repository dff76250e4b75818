"""The agents and the events of the roster: read, lock, keep."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import bindparam, func, insert, select, text, tuple_, update
from sqlmodel import Session, col

from schemas.roster import RosterAgent
from worker.core.roster import Facts, agent_of, facts_from_json, facts_to_json, newest, record_of
from worker.store.bulk import insert_or_replace
from worker.store.pairs import pair_in
from worker.store.roster_models import AgentRow, RosterEventRow, SetAside
from worker.store.sight import of_customers
from worker.store.tables import agents, roster_events, set_aside

WAITING, PLANNED, HELD, REJECTED = "waiting", "planned", "held", "rejected"
IN_AT_ONCE = 400
AgentKey = tuple[str, str]  # profile, agent
EventKey = tuple[str, str]  # source, id
_DOOR = 0x726F73746572  # "roster": the advisory lock of whoever comes in


@dataclass(frozen=True, slots=True)
class WholeRoster:
    """A snapshot that was taken."""

    at: datetime
    source: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry of a stream or a queue that is no event."""

    entry: str
    content: str
    reason: str


@dataclass(frozen=True, slots=True)
class AgentFilter:
    """``there``: who is there, else who has left. ``after`` is an agent of the profile, or of the ``after_profile``."""

    profile: str | None = None
    group: str | None = None
    there: bool = True
    after: str | None = None
    after_profile: str | None = None
    customers: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class PastChange:
    """What an event did to an agent who was there before."""

    at: datetime
    agent: str
    before: RosterAgent
    after: RosterAgent | None


def take_door(session: Session) -> None:
    """One at a time comes in, until the transaction ends: what is weighed is what is there, and no fact is lost."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _DOOR})


def known_events(session: Session, keys: Collection[EventKey]) -> dict[EventKey, str]:
    """Those that were told before, each with its profile."""
    columns = roster_events.c
    found: dict[EventKey, str] = {}
    for some in _slices(sorted(keys)):
        here = pair_in(columns.source, columns.event_id, some)
        query = select(columns.source, columns.event_id, columns.profile).where(here)
        found |= {(row.source, row.event_id): row.profile for row in session.execute(query)}
    return found


def lock_agents(session: Session, keys: Collection[AgentKey]) -> dict[AgentKey, Facts]:
    """The facts of those that are known, locked in one order."""
    columns = agents.c
    found: dict[AgentKey, Facts] = {}
    for some in _slices(sorted(keys)):
        here = pair_in(columns.profile, columns.agent, some)
        query = select(columns.profile, columns.agent, columns.facts).where(here)
        ordered = query.order_by(columns.profile, columns.agent).with_for_update()
        found |= {(row.profile, row.agent): facts_from_json(row.facts) for row in session.execute(ordered)}
    return found


def agents_of(session: Session, profile: str) -> list[AgentKey]:
    return [
        (profile, agent)
        for agent in session.execute(select(agents.c.agent).where(agents.c.profile == profile)).scalars()
    ]


def whole_rosters(session: Session, profile: str) -> list[WholeRoster]:
    """A snapshot's own row names no agent."""
    columns = roster_events.c
    query = select(columns.time, columns.source, columns.event_id)
    taken = (columns.profile == profile, columns.agent == "", columns.state == PLANNED)
    return [WholeRoster(row.time, row.source, row.event_id) for row in session.execute(query.where(*taken))]


def newest_whole(session: Session, profile: str) -> int | None:
    """The number of the snapshot by whose time it is told who was not there."""
    columns = roster_events.c
    taken = (columns.profile == profile, columns.agent == "", columns.state == PLANNED)
    newest = select(columns.seq).where(*taken).order_by(columns.time.desc(), columns.seq.desc()).limit(1)
    return session.execute(newest).scalar_one_or_none()


def keep_agents(session: Session, facts: Mapping[AgentKey, Facts]) -> None:
    """Write what is known now; what the planner has noted of them stays."""
    insert_or_replace(session, agents, [_agent_row(*key, known) for key, known in sorted(facts.items())])


def _agent_row(profile: str, agent: str, known: Facts) -> dict[str, Any]:
    record = record_of(profile, agent, known)
    return {
        "profile": profile,
        "agent": agent,
        "facts": facts_to_json(known),
        "record": record.model_dump_json(by_alias=True),
        "active": agent_of(profile, agent, known) is not None,
        "coaching_plan_name": record.coaching_plan_name,
        "changed_at": newest(known),
    }


def insert_events(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        session.execute(insert(roster_events), list(rows))


def update_events(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """``rows`` have ``event`` (the number) and the columns that held ones get when they are let in."""
    if not rows:
        return
    names = [name for name in rows[0] if name != "number"]
    statement = update(roster_events).where(roster_events.c.seq == bindparam("number"))
    session.connection().execute(statement.values({name: bindparam(f"new_{name}") for name in names}), [
        {"number": row["number"]} | {f"new_{name}": row[name] for name in names} for row in rows
    ])  # fmt: skip


def held_events(session: Session, approval_id: int) -> list[RosterEventRow]:
    query = select(RosterEventRow).where(
        col(RosterEventRow.approval_id) == approval_id, col(RosterEventRow.state) == HELD
    )
    return list(session.execute(query.order_by(col(RosterEventRow.seq)).with_for_update()).scalars())


def count_held(session: Session, approval_id: int) -> int:
    held = (roster_events.c.approval_id == approval_id, roster_events.c.state == HELD)
    return int(session.execute(select(func.count()).select_from(roster_events).where(*held)).scalar_one())


def reject_held(session: Session, approval_id: int) -> int:
    """A person has said no: these events change nothing. Returns their number."""
    statement = (
        update(roster_events)
        .where(roster_events.c.approval_id == approval_id, roster_events.c.state == HELD)
        .values(state=REJECTED)
        .returning(roster_events.c.seq)
    )
    return len(session.execute(statement).all())


def size_of(session: Session, profile: str) -> int:
    """How many agents are there."""
    query = select(func.count()).select_from(agents).where(agents.c.profile == profile, agents.c.active)
    return int(session.execute(query).scalar_one())


def group_sizes(session: Session, profile: str) -> dict[str, int]:
    """How many agents are in each group."""
    sizes: dict[str, int] = {}
    for record in session.execute(
        select(agents.c.record).where(agents.c.profile == profile, agents.c.active)
    ).scalars():
        for group in RosterAgent.model_validate_json(record).groups:
            sizes[group] = sizes.get(group, 0) + 1
    return sizes


def guarded_changes(session: Session, profile: str, since: datetime, until: datetime) -> list[PastChange]:
    """What nobody had to approve, and counts with what comes now."""
    columns = roster_events.c
    query = (
        select(columns.time, columns.agent, columns.before, columns.after)
        .where(columns.profile == profile, columns.time >= since, columns.time <= until)
        .where(columns.guarded, columns.before.is_not(None))
    )
    return [
        PastChange(row.time, row.agent, RosterAgent.model_validate_json(row.before), _agent(row.after))
        for row in session.execute(query)
    ]


def held_by(session: Session, door: str) -> tuple[int, int] | None:
    """The approval that what is held of this door waits for, and how many events that is."""
    columns = roster_events.c
    query = select(columns.approval_id, func.count()).where(columns.state == HELD, columns.door == door)
    newest = query.group_by(columns.approval_id).order_by(columns.approval_id.desc()).limit(1)
    row = session.execute(newest).first()
    return None if row is None else (row[0], row[1])


def put_aside(session: Session, door: str, entries: Sequence[Unreadable], at: datetime) -> None:
    """Keep entries that are no events; one that was delivered twice is kept once."""
    if not entries:
        return
    names = [one.entry for one in entries]
    query = select(set_aside.c.entry).where(set_aside.c.door == door, set_aside.c.entry.in_(names))
    known = set(session.execute(query).scalars())
    rows = [asdict(one) | {"door": door, "at": at} for one in entries if one.entry not in known]
    if rows:
        session.execute(insert(set_aside), rows)


def list_aside(session: Session, limit: int) -> list[SetAside]:
    """Newest first."""
    return list(session.execute(select(SetAside).order_by(col(SetAside.id).desc()).limit(limit)).scalars())


def list_agents(session: Session, chosen: AgentFilter, limit: int) -> list[AgentRow]:
    """By profile and agent."""
    query = select(AgentRow).where(col(AgentRow.active) == chosen.there)
    if chosen.profile is not None:
        query = query.where(col(AgentRow.profile) == chosen.profile)
    if chosen.customers is not None:
        query = query.where(of_customers(agents.c.profile, chosen.customers))
    if chosen.after_profile is not None:
        query = query.where(
            tuple_(col(AgentRow.profile), col(AgentRow.agent)) > (chosen.after_profile, chosen.after or "")
        )
    elif chosen.after is not None:
        query = query.where(col(AgentRow.agent) > chosen.after)
    ordered = query.order_by(col(AgentRow.profile), col(AgentRow.agent))
    if chosen.group is None:
        return list(session.execute(ordered.limit(limit)).scalars())
    rows = session.execute(ordered.execution_options(yield_per=IN_AT_ONCE)).scalars()
    return list(islice((row for row in rows if chosen.group in json.loads(row.record)["groups"]), limit))


def find_agent(session: Session, profile: str, agent: str) -> AgentRow | None:
    return session.get(AgentRow, (profile, agent))


def _agent(record: str | None) -> RosterAgent | None:
    return RosterAgent.model_validate_json(record) if record else None


def _slices(keys: Sequence[tuple[str, str]]) -> Iterable[Sequence[tuple[str, str]]]:
    return (keys[start : start + IN_AT_ONCE] for start in range(0, len(keys), IN_AT_ONCE))
