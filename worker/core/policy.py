"""Pure: what the policy makes of the roster. An agent as they were and as they are, in; targets and questions, out."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schemas.coaching import EvaluationPeriod
from schemas.jobs import QuotaRecalculation
from schemas.names import target_identity
from schemas.policy import Fact, Policy, QuotaRule, TargetRule
from schemas.roster import RosterAgent

_LATEST = datetime(9900, 1, 1, tzinfo=UTC)  # a mistyped year is no reason to run out of years


@dataclass(frozen=True, slots=True)
class WantedTarget:
    """What one agent is to have, and which rule says so. ``as_of``: since when that is so."""

    identity: str
    profile: str
    agent: str
    scorecard_template_name: str
    usecase_name: str
    criterion_or_chapter_id: str
    coaching_plan_name: str
    target: float
    as_of: datetime
    rule: str
    creates: bool
    drift: str | None


@dataclass(frozen=True, slots=True)
class QuotaAsk:
    """A question that a rule asks anew."""

    rule: str
    wish: QuotaRecalculation


def wants_of(agent: RosterAgent, policy: Policy, at: datetime, since: datetime) -> tuple[WantedTarget, ...]:
    """What the agent is to have at the time ``at``: of the rules for one target the first that fits counts.

    ``since``: the last time that anything else changed, in the roster or the policy. Without a coaching plan there is
    nothing that an agent's own target could hang on.
    """
    return tuple(
        _want(agent, rule, identity, max([since, *(turn for turn in _turns(agent, rules) if turn <= at)]))
        for identity, rules in sorted(_rules_for(agent, policy).items())
        if (rule := _first(agent, rules, at))
    )


def review_at(agent: RosterAgent, policy: Policy, at: datetime) -> datetime | None:
    """When what the agent is to have changes without any event: the next end of somebody's first days."""
    turns = (turn for rules in _rules_for(agent, policy).values() for turn in _turns(agent, rules))
    return min((turn for turn in turns if turn > at), default=None)


def quota_asks(before: RosterAgent | None, after: RosterAgent | None, policy: Policy) -> tuple[QuotaAsk, ...]:
    """The questions that a change of one agent asks anew; None is an agent who is not there."""
    return tuple(
        QuotaAsk(rule.name, quota_wish(rule))
        for rule in policy.quotas
        if (fact := _fact(before, after, rule)) and fact in rule.on
    )


def quota_wish(rule: QuotaRule) -> QuotaRecalculation:
    word = rule.period if isinstance(rule.period, str) else None
    return QuotaRecalculation(
        scorecard_template_name=rule.template,
        usecase_name=rule.usecase,
        override_task_complete_config=rule.override,
        evaluation_period=rule.period if isinstance(rule.period, EvaluationPeriod) else None,
        period=word,
    )


def policy_digest(policy: Policy) -> str:
    """Names the policy by what it says."""
    return hashlib.sha256(policy.model_dump_json(exclude_defaults=True).encode()).hexdigest()


def fits(agent: RosterAgent | None, rule: QuotaRule | TargetRule) -> bool:
    """Whether the rule is about this agent, their first days aside."""
    if agent is None or rule.usecase not in agent.usecases:
        return False
    return not rule.groups or not set(rule.groups).isdisjoint(agent.groups)


def _rules_for(agent: RosterAgent, policy: Policy) -> dict[str, list[TargetRule]]:
    """Those that are about the agent, in their order, by what the target is for."""
    found: dict[str, list[TargetRule]] = {}
    for rule in policy.targets:
        if agent.coaching_plan_name and fits(agent, rule):
            found.setdefault(_identity(agent, rule), []).append(rule)
    return found


def _first(agent: RosterAgent, rules: Iterable[TargetRule], at: datetime) -> TargetRule | None:
    """The first that is not over; nobody knows how long ago somebody joined whose time of joining is not known."""
    for rule in rules:
        end = _end(agent, rule)
        if rule.first_days is None or (end and at < end):
            return rule
    return None


def _turns(agent: RosterAgent, rules: Iterable[TargetRule]) -> Iterator[datetime]:
    """When the next of these rules takes the place of the one that has counted, or nothing does."""
    last: datetime | None = None
    for rule in rules:
        if rule.first_days is None:
            return  # it counts for ever: no later rule does
        end = _end(agent, rule)
        if end and (last is None or end > last):
            yield end
            last = end


def _identity(agent: RosterAgent, rule: TargetRule) -> str:
    return target_identity(rule.template, rule.usecase, rule.criterion, agent.coaching_plan_name)


def _end(agent: RosterAgent, rule: TargetRule) -> datetime | None:
    """When the agent's first days are over, for a rule about them."""
    if rule.first_days is None or agent.joined_at is None:
        return None
    return min(agent.joined_at, _LATEST) + timedelta(days=rule.first_days)


def _want(agent: RosterAgent, rule: TargetRule, identity: str, as_of: datetime) -> WantedTarget:
    return WantedTarget(
        identity=identity,
        profile=agent.profile,
        agent=agent.agent,
        scorecard_template_name=rule.template,
        usecase_name=rule.usecase,
        criterion_or_chapter_id=rule.criterion,
        coaching_plan_name=agent.coaching_plan_name,
        target=rule.target,
        as_of=as_of,
        rule=rule.name,
        creates=rule.create,
        drift=rule.drift,
    )


def _fact(before: RosterAgent | None, after: RosterAgent | None, rule: QuotaRule) -> Fact | None:
    was, is_now = fits(before, rule), fits(after, rule)
    if was != is_now:
        return Fact.JOINED if is_now else Fact.LEFT
    return Fact.MOVED if was and _place(before) != _place(after) else None


def _place(agent: RosterAgent | None) -> tuple[tuple[str, ...], str] | None:
    return (agent.groups, agent.coaching_plan_name) if agent else None
