"""Pure: a whole roster as of a time, against what is known: the events that lead from the one to the other."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from schemas.instants import format_instant
from schemas.roster import ROSTER_EVENT, AgentEvent, RosterAgent, RosterEventType, RosterSnapshot
from worker.core.roster import Facts, agent_of, newest

_FIELDS = ("groups", "usecases", "coaching_plan_name", "joined_at")
_VERBS = {
    RosterEventType.JOINED: "joined",
    RosterEventType.LEFT: "left",
    RosterEventType.MOVED: "moved",
    RosterEventType.CHANGED: "changed",
}


def diff(
    known: Mapping[str, Facts], snapshot: RosterSnapshot, *, at: datetime, source: str, event_id: str
) -> list[AgentEvent]:
    """Events of the time ``at``, named after the snapshot's: who is absent has left, unless something newer is known.

    Who is new since the last roster joined at its time; of those in the very first one nobody knows when they did.
    """
    profile = snapshot.profile
    envelope = {"specversion": "1.0", "source": source, "time": format_instant(at)}
    told = {agent.agent: agent for agent in snapshot.agents}
    changes = [*_arrived_or_changed(known, told, profile), *_gone(known, told, profile, at)]
    return [
        ROSTER_EVENT.validate_python({**envelope, "id": f"{event_id}/{agent}", "type": kind, "data": data})  # type: ignore[misc]  # no snapshot among them
        for kind, agent, data in changes
    ]


def counted(events: list[AgentEvent]) -> Counter[str]:
    """How many joined, left, moved, changed."""
    return Counter(_VERBS[event.type] for event in events)


def _arrived_or_changed(
    known: Mapping[str, Facts], told: Mapping[str, RosterAgent], profile: str
) -> Iterator[tuple[RosterEventType, str, dict[str, Any]]]:
    for name, agent in told.items():
        facts = known.get(name)
        before = agent_of(profile, name, facts) if facts else None
        data = ({} if known else {"joined_at": None}) | agent.model_dump(mode="json", exclude_unset=True)
        if before is None:
            yield RosterEventType.JOINED, name, data
        elif changed := _changed(before, agent):
            kind = RosterEventType.MOVED if "groups" in changed else RosterEventType.CHANGED
            yield kind, name, {"agent": name, "profile": profile, **{one: data[one] for one in changed}}


def _gone(
    known: Mapping[str, Facts], told: Mapping[str, RosterAgent], profile: str, at: datetime
) -> Iterator[tuple[RosterEventType, str, dict[str, Any]]]:
    for name, facts in known.items():
        if name not in told and agent_of(profile, name, facts) and newest(facts) <= at:
            yield RosterEventType.LEFT, name, {"agent": name, "profile": profile}


def _changed(before: RosterAgent, agent: RosterAgent) -> list[str]:
    """The fields that the snapshot states otherwise; a time of joining that it leaves out stays."""
    stated = [name for name in _FIELDS if name in agent.model_fields_set and getattr(agent, name) is not None]
    return [name for name in stated if getattr(agent, name) != getattr(before, name)]
