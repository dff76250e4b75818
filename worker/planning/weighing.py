"""Agents are weighed: what they are to have now takes the place of what was wanted of their targets so far.

What is weighed are coaching plans, not agents: several agents may share a plan, and what is wanted of its targets
follows from all of them, whoever of them changed last.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from schemas.policy import Policy
from worker.core.policy import WantedTarget, review_at, wants_of
from worker.core.roster import agent_of, facts_from_json, newest
from worker.core.wants import best_of, changes
from worker.store import asks, planning, wants
from worker.store.asks import NewAsk
from worker.store.engine import database_now
from worker.store.policies import InForce
from worker.store.roster import AgentKey
from worker.store.roster_models import AgentRow


@dataclass(frozen=True, slots=True)
class Told:
    """The newest event of an agent in a page: it is what their wants came of."""

    of_agents: Mapping[AgentKey, int]
    of_plans: Mapping[str, int]

    def behind(self, want: WantedTarget) -> int | None:
        return self.of_agents.get((want.profile, want.agent)) or self.of_plans.get(want.coaching_plan_name)


def weigh(session: Session, force: InForce, some: Sequence[AgentRow], events: Mapping[AgentKey, int]) -> None:
    """``events``: those that make it necessary, by agent; none where a time has come or the policy is new."""
    now = database_now(session)
    plans = _plans(session, some)
    every_plan = {plan for of_agent in plans.values() for plan in of_agent}
    before = wants.of_plans(session, every_plan)
    wanted = wanted_of(session, every_plan, force.policy, now, force.since)
    found = changes(before, wanted)
    told = Told(events, {plan: seq for key, seq in sorted(events.items(), key=_second) for plan in plans.get(key, ())})
    behind = {want: told.behind(want) for want in found.new}
    wants.keep(session, behind)
    wants.explain(session, found.explained)
    wants.drop(session, found.dropped)
    asks.keep(session, [NewAsk(seq, want.rule, want.identity) for want, seq in behind.items() if seq])
    planning.note_weighed(session, {_key(row): _review_at(row, force.policy, now) for row in some}, force.id)


def wanted_of(
    session: Session, plans: Collection[str], policy: Policy, at: datetime, since: datetime
) -> dict[str, WantedTarget]:
    """What the policy wants of the targets of these plans."""
    everybody = planning.agents_sharing(session, plans)
    return best_of((want for row in everybody for want in _wants(row, policy, at, since)), policy)


def _plans(session: Session, some: Sequence[AgentRow]) -> dict[AgentKey, set[str]]:
    """The plan that each agent has, and those that they had."""
    found = {_key(row): {row.coaching_plan_name} - {""} for row in some}
    for want in wants.of_agents(session, found.keys()).values():
        found[want.profile, want.agent].add(want.coaching_plan_name)
    return found


def _wants(row: AgentRow, policy: Policy, at: datetime, since: datetime) -> tuple[WantedTarget, ...]:
    facts = facts_from_json(row.facts)
    agent = agent_of(row.profile, row.agent, facts)
    return wants_of(agent, policy, at, max(since, newest(facts))) if agent else ()


def _review_at(row: AgentRow, policy: Policy, now: datetime) -> datetime | None:
    agent = agent_of(row.profile, row.agent, facts_from_json(row.facts))
    return review_at(agent, policy, now) if agent else None


def _key(row: AgentRow) -> AgentKey:
    return row.profile, row.agent


def _second(pair: tuple[AgentKey, int]) -> int:
    return pair[1]
