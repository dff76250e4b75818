"""Pure: a whole roster as of a time, against what is known: the events that lead from the one to the other."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.instants import format_instant
from schemas.roster import ROSTER_EVENT, AgentEvent, RosterAgent, RosterEventType, SnapshotEvent
from worker.core.roster import ACTIVE, Facts, agent_of

_FIELDS = ("groups", "usecases", "coaching_plan_name", "joined_at")
_LONGEST_ID = 255
_Change = tuple[RosterEventType, str, dict[str, Any]]


def diff(known: Mapping[str, Facts], snapshot: SnapshotEvent, *, first: bool) -> list[AgentEvent]:
    """Events of the snapshot's time: who is absent has left, unless something newer is known.

    Who is new since the last roster joined at its time; of those in the ``first`` one nobody knows when they did.
    """
    envelope = {"specversion": "1.0", "source": snapshot.source, "time": format_instant(snapshot.time)}
    return [
        ROSTER_EVENT.validate_python({**envelope, "id": id_of(snapshot.id, agent), "type": kind, "data": data})  # type: ignore[misc]  # no snapshot among them
        for kind, agent, data in [*_there(known, snapshot, first=first), *_gone(known, snapshot)]
    ]


def id_of(snapshot_id: str, agent: str) -> str:
    """What a snapshot says of one agent is an event of its own: the snapshot's id, and the agent's."""
    whole = f"{snapshot_id}/{agent}"
    if len(whole) <= _LONGEST_ID:
        return whole
    return f"{snapshot_id[:180]}/{hashlib.sha256(whole.encode()).hexdigest()}"


def _there(known: Mapping[str, Facts], snapshot: SnapshotEvent, *, first: bool) -> Iterator[_Change]:
    for agent in snapshot.data.agents:
        facts = known.get(agent.agent, Facts())
        before = agent_of(agent.profile, agent.agent, facts)
        data = ({"joined_at": None} if first else {}) | agent.model_dump(mode="json", exclude_unset=True)
        if before is None:
            if _could_change(facts, snapshot):
                yield RosterEventType.JOINED, agent.agent, data
        elif changed := _changed(before, agent):
            moved = "groups" in changed and "joined_at" not in changed  # which a move does not speak of
            kind = RosterEventType.MOVED if moved else RosterEventType.CHANGED
            yield (
                kind,
                agent.agent,
                {"agent": agent.agent, "profile": agent.profile} | {one: data[one] for one in changed},
            )


def _gone(known: Mapping[str, Facts], snapshot: SnapshotEvent) -> Iterator[_Change]:
    told = {agent.agent for agent in snapshot.data.agents}
    for name, facts in sorted(known.items()):
        there = agent_of(snapshot.data.profile, name, facts) is not None
        if name not in told and there and _could_change(facts, snapshot):
            yield RosterEventType.LEFT, name, {"agent": name, "profile": snapshot.data.profile}


def _could_change(facts: Facts, snapshot: SnapshotEvent) -> bool:
    """Whether the agent is there: nothing newer is known of that."""
    known = facts.fields.get(ACTIVE)
    return known is None or known.at <= snapshot.time


def _changed(before: RosterAgent, agent: RosterAgent) -> list[str]:
    """The fields that the snapshot states otherwise; a time of joining that it leaves out stays."""
    stated = [name for name in _FIELDS if name in agent.model_fields_set and getattr(agent, name) is not None]
    return [name for name in stated if getattr(agent, name) != getattr(before, name)]
