"""Forgetting an agent: every table that has text is looked through, so that one that is added later is as well.

Rows stay where they count, under an alias; what only describes the person is deleted: the agent, what was wanted for
them, what is known of the targets of a coaching plan that is theirs alone. A row of another customer or profile is
never touched, nor is a column whose words are ours.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, ColumnElement, RowMapping, String, Table, and_, delete, func, or_, select, tuple_, update
from sqlmodel import Session, SQLModel

from schemas.jobs import JobState
from schemas.roster import RosterAgent
from worker.core.person import Person
from worker.store import steering
from worker.store.roster import HELD, REJECTED, WAITING
from worker.store.tables import agents, jobs, roster_events, targets, wants

AT_ONCE = 200
_OURS = frozenset((
    "action", "customer", "digest", "door", "error_code", "field", "kind", "lane", "operation", "outcome", "owner",
    "owner_until", "profile", "reads", "remote", "result", "role", "salt", "scopes", "sealed", "settings", "state",
    "type", "usecase", "usecase_name", "worker",
))  # fmt: skip  # their words are ours or the settings'
_NOT_OF_PEOPLE = frozenset(("installation", "policies", "webhook_secrets"))
_OPEN = (JobState.PENDING, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What is still to be done for the agent: jobs by state, events that are to be planned or decided on."""

    pending: tuple[int, ...] = ()
    running: tuple[int, ...] = ()
    events: int = 0
    there: bool = False


@dataclass(slots=True)
class Forgotten:
    """Rows by table. ``longer``: rows left as they are, where the name is but a part of a longer word."""

    changed: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    longer: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        return self.changed.total() + self.deleted.total()


def profiles_of(session: Session, agent: str) -> list[str]:
    """Where anybody was ever known by this name."""
    found = {
        profile
        for table in (agents, roster_events, wants)
        for profile in session.execute(select(table.c.profile).where(table.c.agent == agent).distinct()).scalars()
    }
    return sorted(found)


def person_named(session: Session, profile: str, agent: str, alias: str) -> Person:
    """The agent, with the coaching plans and targets that nobody shares with them."""
    here = Person(profile, agent, alias)
    plans = _plans_of(session, here) - _plans_of_others(session, here)
    named = select(targets.c.name).where(targets.c.coaching_plan_name.in_(sorted(plans)))
    theirs = {name for name in session.execute(named).scalars() if here.is_in(name)}
    return Person(profile, agent, alias, tuple(sorted(plans)), tuple(sorted(theirs)))


def unfinished(session: Session, person: Person) -> Unfinished:
    row = session.execute(
        select(agents.c.active).where(agents.c.profile == person.profile, agents.c.agent == person.agent)
    ).first()
    events = select(func.count()).select_from(roster_events).where(_own(roster_events, person), _open_event())
    ids: dict[str, list[int]] = {state: [] for state in _OPEN}
    for job in session.execute(select(jobs.c.id, jobs.c.state).where(jobs.c.state.in_(_OPEN), _of_plans(person))):
        ids[job.state].append(job.id)
    return Unfinished(
        tuple(ids[JobState.PENDING]),
        tuple(ids[JobState.RUNNING]),
        session.execute(events).scalar_one(),
        bool(row and row.active),
    )


def drop_unfinished(session: Session, person: Person) -> None:
    """Pending jobs are cancelled, and the agent's events are not planned any more. What a worker holds goes on."""
    pending = unfinished(session, person).pending
    for start in range(0, len(pending), steering.AT_ONCE):
        steering.cancel(session, pending[start : start + steering.AT_ONCE])
    session.execute(update(roster_events).where(_own(roster_events, person), _open_event()).values(state=REJECTED))


def forget(session: Session, person: Person, *, dry_run: bool = False) -> Forgotten:
    """Take the person out of every table; ``dry_run``: count what that would be, and write nothing.

    Whoever means it holds the roster's door (``roster.take_door``).
    """
    told = Forgotten()
    for table, which in _describing(person):
        number = session.execute(select(func.count()).select_from(table).where(which)).scalar_one()
        told.deleted[table.name] += number
        if number and not dry_run:
            session.execute(delete(table).where(which))
    gone = dict(_describing(person)) if dry_run else {}
    for table in SQLModel.metadata.sorted_tables:
        if table.name not in _NOT_OF_PEOPLE and (columns := _text_columns(table)):
            _look_through(session, table, columns, _Search(person, told, gone.get(table), dry_run))
    return told


@dataclass(frozen=True, slots=True)
class _Search:
    """``but``: rows that are deleted anyway."""

    person: Person
    told: Forgotten
    but: ColumnElement[bool] | None
    dry_run: bool


def _look_through(session: Session, table: Table, columns: Sequence[Column[Any]], search: _Search) -> None:
    for row in _rows_that_tell(session, table, columns, search):
        new = _without(table, row, columns, search.person)
        if new:
            search.told.changed[table.name] += 1
        if any(search.person.is_in(new.get(one.name) or row[one.name] or "") for one in columns):
            search.told.longer[table.name] += 1
        if new and not search.dry_run:
            here = [key == row[key.name] for key in table.primary_key]
            session.execute(update(table).where(*here).values(new))


def _rows_that_tell(
    session: Session, table: Table, columns: Sequence[Column[Any]], search: _Search
) -> Iterator[RowMapping]:
    keys = list(table.primary_key)
    held = or_(*(one.contains(term, autoescape=True) for one in columns for term in search.person.terms))
    telling = select(*keys).where(held)
    ids = session.execute(telling if search.but is None else telling.where(~search.but)).all()
    for start in range(0, len(ids), AT_ONCE):
        some = tuple_(*keys).in_([tuple(one) for one in ids[start : start + AT_ONCE]])
        for row in session.execute(select(table).where(some)).mappings().all():
            if not _is_of_another(row, search.person):
                yield row


def _without(table: Table, row: RowMapping, columns: Sequence[Column[Any]], person: Person) -> dict[str, str]:
    """The columns that change."""
    if table is roster_events and row["agent"] == person.agent:
        return {
            "agent": person.alias,
            "event_id": person.without_trace(row["event_id"]),
            "event": person.event_without(row["event"]),
        } | {side: person.record_without for side in ("before", "after") if row[side]}
    texts = {one.name: row[one.name] for one in columns if row[one.name]}
    new = {name: person.alias if name == "agent" and text == person.agent else person.without(text)
           for name, text in texts.items()}  # fmt: skip
    return {name: text for name, text in new.items() if text != texts[name]}


def _is_of_another(row: RowMapping, person: Person) -> bool:
    """Another customer, or another profile, may have somebody of the same name."""
    customer = "/".join(person.profile.split("/")[:2])
    owner = row.get("profile") or row.get("resource") or ""
    if row.get("customer") and row["customer"] != customer.removeprefix("customers/"):
        return True
    return owner.startswith("customers/") and not f"{owner};".startswith((f"{person.profile}/", f"{person.profile};"))


def _describing(person: Person) -> list[tuple[Table, ColumnElement[bool]]]:
    return [
        (agents, _own(agents, person)),
        (wants, or_(_own(wants, person), wants.c.coaching_plan_name.in_(person.plans))),
        (targets, targets.c.coaching_plan_name.in_(person.plans)),
    ]


def _own(table: Table, person: Person) -> ColumnElement[bool]:
    return and_(table.c.profile == person.profile, table.c.agent == person.agent)


def _open_event() -> ColumnElement[bool]:
    return roster_events.c.state.in_((WAITING, HELD))


def _of_plans(person: Person) -> ColumnElement[bool]:
    """Jobs for the targets of the person's own plans: by what was wished, or by what the target is known to be for."""
    known = select(targets.c.name).where(targets.c.coaching_plan_name.in_(person.plans))
    said = (jobs.c.wish.contains(f'"{plan}"', autoescape=True) for plan in person.plans)
    return or_(jobs.c.resource.in_(known), *said)


def _plans_of(session: Session, person: Person) -> set[str]:
    now = select(agents.c.coaching_plan_name).where(_own(agents, person))
    wanted = select(wants.c.coaching_plan_name).where(_own(wants, person))
    found = {plan for query in (now, wanted) for plan in session.execute(query).scalars()}
    sides = select(roster_events.c.before, roster_events.c.after).where(_own(roster_events, person))
    for row in session.execute(sides):
        found |= {plan for side in row if side for plan in _plans_in(side)}
    return found - {""}


def _plans_in(record: str) -> list[str]:
    return [RosterAgent.model_validate_json(record).coaching_plan_name]


def _plans_of_others(session: Session, person: Person) -> set[str]:
    return {
        plan
        for table in (agents, wants)
        for plan in session.execute(
            select(table.c.coaching_plan_name).where(table.c.profile == person.profile, table.c.agent != person.agent)
        ).scalars()
    }


def _text_columns(table: Table) -> list[Column[Any]]:
    return [one for one in table.columns if one.name not in _OURS and _is_text(one)]


def _is_text(column: Column[Any]) -> bool:
    return isinstance(getattr(column.type, "impl_instance", column.type), String)
