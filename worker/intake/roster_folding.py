"""Events folded onto what is known of their agents, in memory: what each of them came to, and what is known then."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlmodel import Session

from schemas.roster import AgentEvent, RosterAgent, SnapshotEvent
from worker.core.roster import Facts, Outcome, agent_of, confirm, fold, rule_out
from worker.core.roster_diff import diff, id_of
from worker.store import roster
from worker.store.roster import AgentKey, WholeRoster

Event = AgentEvent | SnapshotEvent


@dataclass(frozen=True, slots=True)
class Told:
    """One event with the agent on both sides of it; a snapshot has nobody on either."""

    event: Event
    before: RosterAgent | None
    after: RosterAgent | None
    outcome: Outcome

    @property
    def verb(self) -> str:
        if self.before is None:
            return "joined"
        if self.after is None:
            return "left"
        return "moved" if self.before.groups != self.after.groups else "changed"


@dataclass(slots=True)
class Folding:
    """``touched`` is what is to be kept; ``told`` are the events, those that a snapshot stands for after it."""

    session: Session
    touched: dict[AgentKey, Facts] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    _known: dict[AgentKey, Facts] = field(default_factory=dict)
    _rosters: dict[str, list[WholeRoster]] = field(default_factory=dict)

    def take(self, events: Sequence[Event]) -> None:
        """Raises the database's errors. Nobody else changes an agent meanwhile: the caller holds the door."""
        self._rosters = {home: roster.whole_rosters(self.session, home) for home in _profiles(events)}
        self._known = roster.lock_agents(self.session, self._concerned(events))
        for event in events:
            if isinstance(event, SnapshotEvent):
                self._take_whole(event)
            else:
                self._fold(event)

    @property
    def of_agents(self) -> list[Told]:
        return [one for one in self.told if not isinstance(one.event, SnapshotEvent)]

    def changes(self) -> Counter[str]:
        return Counter(one.verb for one in self.told if one.before != one.after)

    def _concerned(self, events: Sequence[Event]) -> set[AgentKey]:
        keys: set[AgentKey] = set()
        for event in events:
            if isinstance(event, SnapshotEvent):
                keys.update(roster.agents_of(self.session, event.data.profile))
            else:
                keys.add((event.data.profile, event.data.agent))
        return keys

    def _take_whole(self, event: SnapshotEvent) -> None:
        profile = event.data.profile
        names = {agent for home, agent in self._known if home == profile} | {one.agent for one in event.data.agents}
        known = {name: self._facts((profile, name)) for name in names}
        first = all(event.time <= one.at for one in self._rosters[profile])
        self.told.append(Told(event, None, None, Outcome.APPLIED))
        derived = diff(known, event, first=first)
        told_before = roster.known_events(self.session, {(event.source, one.id) for one in derived})
        for one in derived:
            if (one.source, one.id) not in told_before:
                self._fold(one)
        whole = WholeRoster(event.time, event.source, event.id)
        for agent in event.data.agents:
            key = (profile, agent.agent)
            self._keep(key, confirm(self._facts(key), agent, whole.at, _by(whole, agent.agent)))
        self._rosters[profile].append(whole)

    def _fold(self, event: AgentEvent) -> None:
        key = (event.data.profile, event.data.agent)
        before = self._facts(key)
        folded = fold(before, event)
        self._keep(key, folded.facts)
        self.told.append(Told(event, agent_of(*key, before), agent_of(*key, folded.facts), folded.outcome))

    def _facts(self, key: AgentKey) -> Facts:
        """What is known; who is not in the newest whole roster was not there at its time."""
        profile, agent = key
        facts = self._known.get(key, Facts())
        newest = max((one.at for one in self._rosters[profile]), default=None)
        for whole in self._rosters[profile]:
            if whole.at == newest:
                facts = rule_out(facts, whole.at, _by(whole, agent))
        return facts

    def _keep(self, key: AgentKey, facts: Facts) -> None:
        if facts != self._known.get(key):
            self._known[key] = self.touched[key] = facts


def _profiles(events: Sequence[Event]) -> set[str]:
    return {event.data.profile for event in events}


def _by(whole: WholeRoster, agent: str) -> str:
    """As the event is called that the roster is, of this agent."""
    return f"{whole.source} {id_of(whole.event_id, agent)}"
