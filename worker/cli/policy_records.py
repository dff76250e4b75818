"""Rules, what is found about them and what events would ask for, as records and sentences."""

from collections.abc import Iterator
from typing import Any, assert_never

from schemas.coaching import EvaluationPeriod
from schemas.instants import format_instant
from schemas.jobs import TargetCreation, TargetUpdate
from schemas.policy import QuotaRule, TargetRule
from schemas.roster import RosterAgent, RosterEventType
from worker.cli.policy_trial import Trial, TriedEvent, Wanted
from worker.core.naming import Obstacle
from worker.core.policy import WantedTarget
from worker.core.policy_check import Finding
from worker.core.roster import Outcome
from worker.telling.cells import cell
from worker.telling.records import Fields
from worker.telling.words_roster import agent_words

QUOTA_COLUMNS = ("rule", "on", "template", "usecase", "groups", "period", "override", "line")
TARGET_COLUMNS = (
    "rule",
    "target",
    "template",
    "usecase",
    "criterion",
    "groups",
    "firstDays",
    "create",
    "drift",
    "line",
)


def quota_rule_record(rule: QuotaRule, line: str | None) -> Fields:
    override = rule.override.model_dump_json(by_alias=True, exclude_none=True) if rule.override else None
    return {
        "rule": rule.name,
        "on": ", ".join(rule.on),
        "template": rule.template,
        "usecase": rule.usecase,
        "groups": ", ".join(rule.groups) or None,
        "period": _period(rule.period),
        "override": override,
        "line": line,
    }


def target_rule_record(rule: TargetRule, line: str | None) -> Fields:
    return {
        "rule": rule.name,
        "target": rule.target,
        "template": rule.template,
        "usecase": rule.usecase,
        "criterion": rule.criterion or None,
        "groups": ", ".join(rule.groups) or None,
        "firstDays": rule.first_days,
        "create": rule.create,
        "drift": rule.drift,
        "line": line,
    }


def finding_record(finding: Finding, line: str | None) -> Fields:
    return {
        "finding": finding.kind,
        "rule": finding.rule or None,
        "wrong": finding.wrong,
        "says": finding.says,
        "line": line,
    }


def tried_record(trial: Trial) -> Fields:
    return {
        "events": [_event_record(one) for one in trial.events],
        "quotas": trial.quota_jobs,
        "targets": trial.target_jobs,
        "duplicates": trial.duplicates,
        "stopped": trial.stopped or None,
        "inForce": trial.in_force,
    }


def tried_words(one: TriedEvent) -> Iterator[str]:
    """What happened, then a line for each thing that it would ask for."""
    event, told = one.told.event, one.told
    verb = RosterEventType(event.type).rpartition(".")[2]
    yield f"{_agent(one)} {verb} at {cell(event.time)} ({event.source}, {event.id})"
    if told.outcome is not Outcome.APPLIED:
        why = "newer facts are known" if told.outcome is Outcome.OUTDATED else "the roster says so already"
        yield f"  {why}: it changes nothing"
        return
    yield f"  {agent_words(_json(told.before))} → {agent_words(_json(told.after))}"
    for ask in one.tried.quotas:
        yield f"  quota: the rule {ask.rule!r} asks for {ask.wish.resource}"
    for wanted in one.wanted:
        want = wanted.want
        yield f"  target: the rule {want.rule!r} wants {cell(want.target)} for {_what(want)}: {_fate_words(wanted)}"
    for want in one.tried.targets.explained:
        yield f"  target: {_what(want)} stays at {cell(want.target)}, now by the rule {want.rule!r}"
    for identity in one.tried.targets.dropped:
        yield f"  target: nothing is wanted of {identity} any more; it stays as it is"
    if not (one.tried.quotas or one.wanted or one.tried.targets.explained or one.tried.targets.dropped):
        yield "  no rule asks for anything"
    if one.tried.again:
        yield f"  again at {cell(one.tried.again)}, when a rule ends or begins for them"


def _event_record(one: TriedEvent) -> Fields:
    event, told = one.told.event, one.told
    return {
        "event": {"id": event.id, "source": event.source, "type": event.type, "time": event.time},
        "agent": _agent(one),
        "profile": event.data.profile,
        "outcome": told.outcome,
        "before": told.before and told.before.model_dump(mode="json", by_alias=True),
        "after": told.after and told.after.model_dump(mode="json", by_alias=True),
        "quotas": [{"rule": ask.rule, "resource": ask.wish.resource} for ask in one.tried.quotas],
        "targets": [_wanted_record(wanted) for wanted in one.wanted],
        "explained": [{"rule": want.rule, "for": want.identity} for want in one.tried.targets.explained],
        "dropped": one.tried.targets.dropped,
        "reviewAt": one.tried.again,
    }


def _wanted_record(wanted: Wanted) -> Fields:
    want, fate = wanted.want, wanted.fate
    return {
        "rule": want.rule,
        "agent": want.agent,
        "target": want.target,
        "for": want.identity,
        "does": _does(wanted),
        "name": fate.name if isinstance(fate, TargetUpdate) else None,
        "known": wanted.there,
        "obstacle": fate.words if isinstance(fate, Obstacle) else None,
    }


def _does(wanted: Wanted) -> str:
    match wanted.fate:
        case TargetUpdate():
            return "update"
        case TargetCreation():
            return "create"
        case Obstacle():
            return "wait"
        case never:
            assert_never(never)


def _fate_words(wanted: Wanted) -> str:
    match wanted.fate:
        case TargetUpdate() as update:
            there = "" if wanted.there is None else f", last seen with {cell(wanted.there)}"
            return f"{update.name} would be set{there}"
        case TargetCreation():
            return "it would be made"
        case Obstacle() as obstacle:
            return f"it would wait: {obstacle.words}"
        case never:
            assert_never(never)


def _what(want: WantedTarget) -> str:
    parts = (want.scorecard_template_name, want.usecase_name, want.criterion_or_chapter_id, want.coaching_plan_name)
    template, usecase, criterion, plan = (part.rpartition("/")[2] for part in parts)
    return f"{template}{f' ({criterion})' if criterion else ''} in {usecase}, plan {plan}"


def _agent(one: TriedEvent) -> Any:
    return getattr(one.told.event.data, "agent", None)


def _json(agent: RosterAgent | None) -> str | None:
    return agent.model_dump_json(by_alias=True) if agent else None


def _period(period: str | EvaluationPeriod | None) -> str | None:
    if isinstance(period, EvaluationPeriod):
        return f"{format_instant(period.start_time)}/{format_instant(period.end_time)}"
    return period
