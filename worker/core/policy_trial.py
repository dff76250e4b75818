"""Pure: what changes of the roster would ask for, one after another, and which rule asks it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from schemas.policy import Policy
from schemas.roster import RosterAgent
from worker.core.policy import QuotaAsk, WantedTarget, quota_asks, review_at, wants_of
from worker.core.wants import Changes, best_of, changes


@dataclass(frozen=True, slots=True)
class Step:
    """One agent before and after an event of the time ``since``; None is one who is not there."""

    before: RosterAgent | None
    after: RosterAgent | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Tried:
    """``again``: when a rule begins or ends for the agent without any event."""

    quotas: tuple[QuotaAsk, ...]
    targets: Changes
    again: datetime | None


def try_policy(policy: Policy, steps: Iterable[Step], sharing: Iterable[RosterAgent], at: datetime) -> Iterator[Tried]:
    """``sharing`` are all who have one of the coaching plans that the steps are about, as they are before these."""
    plans: dict[str, dict[str, RosterAgent]] = defaultdict(dict)
    for agent in sharing:
        plans[agent.coaching_plan_name][agent.agent] = agent
    for step in steps:
        touched = {one.coaching_plan_name for one in (step.before, step.after) if one and one.coaching_plan_name}
        was = _wanted(policy, [plans[plan] for plan in touched], at, step.since)
        if step.before:
            plans[step.before.coaching_plan_name].pop(step.before.agent, None)
        if step.after:
            plans[step.after.coaching_plan_name][step.after.agent] = step.after
        wanted = _wanted(policy, [plans[plan] for plan in touched], at, step.since)
        again = review_at(step.after, policy, at) if step.after else None
        yield Tried(quota_asks(step.before, step.after, policy), changes(was, wanted), again)


def _wanted(
    policy: Policy, plans: Iterable[Mapping[str, RosterAgent]], at: datetime, since: datetime
) -> dict[str, WantedTarget]:
    everybody = (agent for plan in plans for agent in plan.values())
    return best_of((want for agent in everybody for want in wants_of(agent, policy, at, since)), policy)
