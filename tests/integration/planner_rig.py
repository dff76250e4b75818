"""What tests of the planner write and read: the state that others leave, and what has come of it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, update

from schemas.coaching import Target
from schemas.instants import format_instant, parse_instant
from schemas.jobs import JobKind, JobState, TargetCreation, TargetUpdate, Wish
from schemas.names import profile_of, target_identity
from tests.integration.oversight_rig import COMPLIANCE, PROFILE, VOICE, plan_of
from tests.integration.store_rig import let_time_pass, take, tried, write
from worker.core.decisions import Succeed
from worker.core.roster import Fact, Facts, facts_from_json, facts_to_json
from worker.store import wants as want_store
from worker.store.engine import Database, database_now
from worker.store.models import Job
from worker.store.reconciling import keep_found
from worker.store.roster_models import AgentRow, Ask, Want
from worker.store.tables import (
    agents,
    asks,
    batches,
    cadences,
    jobs,
    policies,
    quota_answers,
    reconciliations,
    resources,
    roster_events,
    targets,
    wants,
)

YEARS_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def identity_of(agent: str) -> str:
    """What the target of the agent's own plan is for."""
    return target_identity(COMPLIANCE, VOICE, "", plan_of(agent))


def name_of(agent: str) -> str:
    return f"{PROFILE}/targets/of-{agent}"


def remote_has(store: Database, *of_agents: str, value: float = 50.0) -> None:
    """A listing has shown targets of these agents' plans."""
    found = [
        Target(
            name=name_of(agent),
            scorecard_template_name=COMPLIANCE,
            criterion_or_chapter_id="",
            target=value,
            usecase_name=VOICE,
            coaching_plan_name=plan_of(agent),
        )
        for agent in of_agents
    ]
    with store.write() as session:
        keep_found(session, found)


def listed(store: Database, *, reads: str = "list", finished: bool = True, error: str | None = None) -> None:
    """A pass over the remote's targets, from beginning to end, has just been made; or is under way."""
    with store.write() as session:
        now = database_now(session)
        row = {
            "remote": "default",
            "profile": PROFILE,
            "reads": reads,
            "page_token": "",
            "started_at": now,
            "finished_at": now if finished else None,
            "error": error,
        }
        session.execute(insert(reconciliations), [row])
        if finished:
            want_store.clear_obstacles(session, PROFILE)


def in_force_for_years(store: Database) -> None:
    """From here on the times of the events say since when something is wanted."""
    with store.write() as session:
        session.execute(update(policies).where(policies.c.adopted_at.is_not(None)).values(adopted_at=YEARS_AGO))


def days_pass(store: Database, days: float) -> None:
    """All that is written is so much older."""
    by = timedelta(days=days)
    with store.write() as session:
        for table, names in _TIMES.items():
            keys = [column.name for column in table.primary_key]
            for row in session.execute(select(table)).mappings().all():
                older = {name: row[name] - by for name in names if row[name] is not None}
                here = [table.c[key] == row[key] for key in keys]
                session.execute(update(table).where(*here).values(older))
        for row in session.execute(select(agents.c.profile, agents.c.agent, agents.c.facts)).all():
            older_facts = facts_to_json(_older(facts_from_json(row.facts), by))
            here = [agents.c.profile == row.profile, agents.c.agent == row.agent]
            session.execute(update(agents).where(*here).values(facts=older_facts))


_TIMES = {
    agents: ("review_at", "changed_at"),
    cadences: ("due_at",),
    jobs: ("created_at", "due_at", "finished_at", "debounced_since"),
    policies: ("seen_at", "adopted_at"),
    quota_answers: ("answered_at", "period_start", "period_end"),
    reconciliations: ("started_at", "finished_at"),
    roster_events: ("time", "received_at", "planned_at"),
    wants: ("as_of", "wanted_at"),
}


def _older(facts: Facts, by: timedelta) -> Facts:
    return Facts({name: _older_fact(name, fact, by) for name, fact in facts.fields.items()})


def _older_fact(name: str, fact: Fact, by: timedelta) -> Fact:
    if name != "joined_at" or fact.value is None:
        return fact._replace(at=fact.at - by)
    joined = parse_instant(fact.value)
    assert isinstance(joined, datetime)
    return Fact(format_instant(joined - by), fact.at - by, fact.by)


def work(store: Database, remote: dict[str, float] | None = None) -> int:
    """Workers do all that is open, and the remote does what it is asked; ``remote``: its values, by what they are for.

    Returns the number of jobs.
    """
    let_time_pass(store)
    with store.read() as session:
        still_open = jobs.c.state.in_((JobState.PENDING, JobState.RUNNING))
        ids = session.execute(select(jobs.c.id).where(still_open, jobs.c.kind != JobKind.QUOTA_RECALCULATION))
        claimed = take(store, *ids.scalars(), owner="workers")
    for job in claimed:
        wish = _wish_of(job.kind, job.wish)
        assert not isinstance(wish, TargetCreation) or identity_named(wish) not in (remote or {}), "made twice"
        if remote is not None:
            remote[identity_named(wish)] = wish.target
        write(store, tried(job, Succeed("applied", _target_of(wish))))
    return len(claimed)


def identity_named(wish: Wish) -> str:
    assert isinstance(wish, TargetUpdate | TargetCreation)
    return target_identity(
        wish.scorecard_template_name,
        wish.usecase_name,
        wish.criterion_or_chapter_id or "",
        wish.coaching_plan_name or "",
    )


def _wish_of(kind: str, text: str) -> TargetUpdate | TargetCreation:
    model = TargetCreation if kind == JobKind.TARGET_CREATION else TargetUpdate
    return model.model_validate_json(text)


def _target_of(wish: TargetUpdate | TargetCreation) -> Target:
    """A target that is made gets its name of what it is for."""
    what = (wish.scorecard_template_name, wish.criterion_or_chapter_id or "all", wish.coaching_plan_name or "all")
    made = f"{profile_of(what[0])}/targets/for-" + "-".join(part.rsplit("/", 1)[-1] for part in what)
    return Target(
        name=wish.name if isinstance(wish, TargetUpdate) else made,
        scorecard_template_name=wish.scorecard_template_name,
        criterion_or_chapter_id=wish.criterion_or_chapter_id or "",
        target=wish.target,
        usecase_name=wish.usecase_name,
        coaching_plan_name=wish.coaching_plan_name or "",
    )


def newest_wishes(store: Database) -> dict[str, float]:
    """The value of the newest wish for each target, by what it is for; an update is newer than the creation."""
    with store.read() as session:
        query = (
            select(jobs.c.kind, jobs.c.wish)
            .join_from(resources, jobs, jobs.c.id == resources.c.newest_job_id)
            .where(jobs.c.kind != JobKind.QUOTA_RECALCULATION)
            .order_by(jobs.c.kind, resources.c.version)
        )
        wishes = [_wish_of(kind, text) for kind, text in session.execute(query)]
    return {identity_named(wish): wish.target for wish in wishes}


def target_jobs(store: Database) -> list[Job]:
    """All that ever were, in their order."""
    with store.read() as session:
        query = select(Job).where(jobs.c.kind != JobKind.QUOTA_RECALCULATION).order_by(jobs.c.id)
        return list(session.execute(query).scalars())


def wanted(store: Database) -> dict[str, tuple[str, float, str]]:
    """Agent, value and rule of each want."""
    with store.read() as session:
        query = select(Want).order_by(wants.c.identity)
        return {one.identity: (one.agent, one.target, one.rule) for one in session.execute(query).scalars()}


def want_of(store: Database, agent: str) -> Want:
    with store.read() as session:
        return session.get_one(Want, identity_of(agent))


def agent_row(store: Database, agent: str) -> AgentRow:
    with store.read() as session:
        return session.get_one(AgentRow, (PROFILE, agent))


def all_asks(store: Database) -> list[Ask]:
    with store.read() as session:
        return list(session.execute(select(Ask).order_by(asks.c.id)).scalars())


def count(store: Database, table: Any, **where: Any) -> int:
    conditions = [table.c[name] == value for name, value in where.items()]
    with store.read() as session:
        return int(session.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one())


def batches_of(store: Database, source: str) -> int:
    return count(store, batches, source=source)


def values(store: Database, names: Iterable[str]) -> dict[str, float]:
    with store.read() as session:
        query = select(targets.c.name, targets.c.target).where(targets.c.name.in_(list(names)))
        return {row.name: row.target for row in session.execute(query)}
