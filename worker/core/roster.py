"""Pure: what events say of an agent, each field by its newest fact.

A field is a register that the newest fact wins (by time, then by the event's name): folding events is the same in any
order, and an event told twice is told once. An agent is there while the newest word is that they joined.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import BaseModel

from schemas.instants import format_instant, parse_instant
from schemas.roster import AgentEvent, RosterAgent, RosterEventType

ACTIVE = "active"
_STATED = ("groups", "usecases", "coaching_plan_name", "joined_at")


class Outcome(StrEnum):
    """What an event came to: it changed something, newer facts were known already, or it said what was known."""

    APPLIED = "applied"
    OUTDATED = "outdated"
    UNCHANGED = "unchanged"


class Fact(NamedTuple):
    """A field's value as JSON has it, since when, and which event said so."""

    value: Any
    at: datetime
    by: str

    @property
    def rank(self) -> tuple[datetime, str]:
        return self.at, self.by


@dataclass(frozen=True, slots=True)
class Facts:
    fields: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Folded:
    facts: Facts
    outcome: Outcome


def fold(facts: Facts, event: AgentEvent) -> Folded:
    """The facts with those of the event, each where it is the newest."""
    by = f"{event.source} {event.id}"
    said = {name: Fact(value, event.time, by) for name, value in _stated(event).items()}
    newer = _newer(facts, said)
    if not newer:
        known = all(facts.fields[name].value == fact.value for name, fact in said.items())
        return Folded(facts, Outcome.UNCHANGED if known else Outcome.OUTDATED)
    before = {name: fact.value for name, fact in facts.fields.items()}
    changed = any(before.get(name, ...) != fact.value for name, fact in newer.items())
    return Folded(_with(facts, newer), Outcome.APPLIED if changed else Outcome.UNCHANGED)


def confirm(facts: Facts, agent: RosterAgent, at: datetime, by: str) -> Facts:
    """A whole roster of the time ``at`` has the agent so: what is told later of an earlier time is outdated."""
    said = {name: value for name, value in _given(agent).items() if value is not None} | {ACTIVE: True}
    return _with(facts, _newer(facts, {name: Fact(value, at, by) for name, value in said.items()}))


def rule_out(facts: Facts, at: datetime, by: str) -> Facts:
    """A whole roster of the time ``at`` does not have the agent."""
    return _with(facts, _newer(facts, {ACTIVE: Fact(value=False, at=at, by=by)}))


def agent_of(profile: str, agent: str, facts: Facts) -> RosterAgent | None:
    """The agent as they are now, None where they are not there."""
    active = facts.fields.get(ACTIVE)
    if active is None or not active.value:
        return None
    return record_of(profile, agent, facts)


def record_of(profile: str, agent: str, facts: Facts) -> RosterAgent:
    """What is known of the agent, there or not."""
    known = {name: facts.fields[name].value for name in _STATED if name in facts.fields}
    return RosterAgent.model_validate({"agent": agent, "profile": profile, **known})


def newest(facts: Facts) -> datetime:
    """The time of the newest fact."""
    return max(fact.at for fact in facts.fields.values())


def facts_to_json(facts: Facts) -> str:
    kept = {name: [fact.value, format_instant(fact.at), fact.by] for name, fact in sorted(facts.fields.items())}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def facts_from_json(text: str) -> Facts:
    return Facts({name: Fact(value, _instant(at), by) for name, (value, at, by) in json.loads(text).items()})


def fold_all(facts: Facts, events: Iterable[AgentEvent]) -> Facts:
    for event in events:
        facts = fold(facts, event).facts
    return facts


def _stated(event: AgentEvent) -> dict[str, Any]:
    """The fields that the event speaks of. A ``joined_at`` that is null says that nobody knows it."""
    stated = {name: value for name, value in _given(event.data).items() if value is not None or name == "joined_at"}
    match event.type:
        case RosterEventType.JOINED:
            return {"joined_at": format_instant(event.time), **stated, ACTIVE: True}
        case RosterEventType.LEFT:
            return {ACTIVE: False}
        case _:
            return stated


def _given(data: BaseModel) -> dict[str, Any]:
    return data.model_dump(mode="json", exclude_unset=True, exclude={"agent", "profile"})


def _newer(facts: Facts, said: Mapping[str, Fact]) -> dict[str, Fact]:
    known = facts.fields
    return {name: fact for name, fact in said.items() if name not in known or fact.rank > known[name].rank}


def _with(facts: Facts, newer: Mapping[str, Fact]) -> Facts:
    return Facts({**facts.fields, **newer}) if newer else facts


def _instant(text: str) -> datetime:
    at = parse_instant(text)
    assert isinstance(at, datetime)  # noqa: S101 - text in, an instant out
    return at
