"""What an event of the roster came to, what an agent has to do with, and which events a job came of."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session, col

from schemas.jobs import JobState
from worker.store.listing import find_job
from worker.store.models import Job
from worker.store.oversight_models import Approval
from worker.store.roster_models import AgentRow, Ask, RosterEventRow, Want
from worker.store.tables import agents, asks, jobs, roster_events

SHOWN = 10
LONGEST_CHAIN = 1_000  # of wishes that took each other's place: past this the last one seen stands for the rest


@dataclass(frozen=True, slots=True)
class AskStory:
    """``job`` is what was asked as, ``last`` the job that it came to where newer wishes took its place."""

    ask: Ask
    job: Job | None
    last: Job | None
    want: Want | None

    @property
    def is_quota(self) -> bool:
        return "@" in self.ask.resource.partition(";")[0]  # the template's revision, which no target has


@dataclass(frozen=True, slots=True)
class EventStory:
    event: RosterEventRow
    approval: Approval | None
    asks: list[AskStory]


@dataclass(frozen=True, slots=True)
class AgentStory:
    """The newest ``events`` of ``told`` in all."""

    agent: AgentRow
    wants: list[Want]
    events: list[RosterEventRow]
    told: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Which event asked for a job, by which rule."""

    ask: Ask
    event: RosterEventRow


@dataclass(frozen=True, slots=True)
class Origins:
    """The ``newest`` of ``count`` in all."""

    newest: list[Origin]
    count: int


def find_event(session: Session, seq: int) -> RosterEventRow | None:
    return session.get(RosterEventRow, seq)


def events_named(session: Session, event_id: str) -> list[RosterEventRow]:
    """Of all sources: an id is one's own."""
    query = select(RosterEventRow).where(col(RosterEventRow.event_id) == event_id)
    of_each = [query.where(col(RosterEventRow.source) == source) for source in _each(session, roster_events.c.source)]
    found = [event for one in of_each for event in session.execute(one).scalars()]
    return sorted(found, key=lambda event: event.seq)[:SHOWN]


def agents_named(session: Session, agent: str) -> list[AgentRow]:
    """Of all profiles."""
    query = select(AgentRow).where(col(AgentRow.agent) == agent)
    of_each = [query.where(col(AgentRow.profile) == profile) for profile in _each(session, agents.c.profile)]
    return [row for one in of_each for row in session.execute(one).scalars()][:SHOWN]


def event_story(session: Session, event: RosterEventRow) -> EventStory:
    found = select(Ask).where(col(Ask.event_seq) == event.seq).order_by(col(Ask.id))
    told = [_ask_story(session, ask) for ask in session.execute(found).scalars()]
    approval = session.get(Approval, event.approval_id) if event.approval_id else None
    return EventStory(event, approval, told)


def agent_story(session: Session, agent: AgentRow, limit: int) -> AgentStory:
    of_agent = (col(RosterEventRow.profile) == agent.profile, col(RosterEventRow.agent) == agent.agent)
    newest = select(RosterEventRow).where(*of_agent).order_by(col(RosterEventRow.seq).desc()).limit(limit)
    wanted = select(Want).where(col(Want.profile) == agent.profile, col(Want.agent) == agent.agent)
    return AgentStory(
        agent=agent,
        wants=list(session.execute(wanted.order_by(col(Want.identity))).scalars()),
        events=list(session.execute(newest).scalars()),
        told=session.execute(select(func.count()).select_from(roster_events).where(*of_agent)).scalar_one(),
    )


def origins_of(session: Session, job: Job) -> Origins:
    """Those that asked for it, or for one of the wishes that it took the place of: a storm of events is one job."""
    meant = _taken_in(session, job)
    asked = select(asks.c.id, asks.c.job_id).join(jobs, jobs.c.id == asks.c.job_id)
    rows = session.execute(asked.where(jobs.c.resource == job.resource).order_by(asks.c.id.desc()))
    ids = [row.id for row in rows if row.job_id in meant]
    query = select(Ask, RosterEventRow).join(RosterEventRow, col(RosterEventRow.seq) == col(Ask.event_seq))
    newest = query.where(col(Ask.id).in_(ids[:SHOWN])).order_by(col(Ask.id).desc())
    return Origins([Origin(*row) for row in session.execute(newest)], len(ids))


def _taken_in(session: Session, job: Job) -> set[int]:
    """The job, and all whose place it took, or one of them: followed here, since a database looks at all for each."""
    pairs = select(jobs.c.superseded_by, jobs.c.id).where(jobs.c.resource == job.resource)
    before = defaultdict[int, list[int]](list)
    for newer, older in session.execute(pairs.where(jobs.c.superseded_by.is_not(None))):
        before[newer].append(older)
    found: set[int] = set()
    ahead = [job.id]
    while ahead:
        if (one := ahead.pop()) not in found:
            found.add(one)
            ahead += before[one]
    return found


def _each(session: Session, column: Any) -> Iterator[str]:
    """The values that a column has, from one to the next of the index that begins with it."""
    value = ""
    while value := session.execute(select(func.min(column)).where(column > value)).scalar_one() or "":
        yield value


def _ask_story(session: Session, ask: Ask) -> AskStory:
    job = find_job(session, ask.job_id) if ask.job_id else None
    return AskStory(ask, job, _last_of(session, job) if job else None, session.get(Want, ask.resource))


def _last_of(session: Session, job: Job) -> Job:
    for _ in range(LONGEST_CHAIN):
        if job.state != JobState.SUPERSEDED or job.superseded_by is None:
            return job
        newer = find_job(session, job.superseded_by)
        if newer is None:
            return job
        job = newer
    return job
