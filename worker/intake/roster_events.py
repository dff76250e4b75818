"""The roster's door, the only one: a submission of events is taken whole, once, or refused.

EventsRefused   an event cannot be taken; nothing was written. Its ``errors`` name each by its place in the submission.
GuardTripped    it would change more than the guard allows; nothing was written but the request for approval.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from schemas.roster import ROSTER_EVENT, AgentEvent, RosterAgent, SnapshotEvent
from worker.configuration.oversight import GuardOptions
from worker.core.guard import Change, ChangeKind, GuardTripped, judge_roster
from worker.core.roster import Facts, Outcome, agent_of, fold
from worker.core.roster_diff import diff
from worker.intake.patience import patiently
from worker.store import approvals, roster
from worker.store.engine import Database, database_now
from worker.store.roster import AgentKey

DOOR = "roster"
MOST_EVENTS = 100_000
LATEST = timedelta(minutes=5)  # how far ahead of our clock an event may be: more is a mistake, not skew
HELD_FOR = timedelta(days=365)  # held events wait for a person, however long that takes


@dataclass(frozen=True, slots=True)
class EventError:
    """``index`` counts from 0."""

    index: int
    field: str
    reason: str


class EventsRefused(Exception):  # noqa: N818 - the house names what happened
    """Nothing was written."""

    def __init__(self, errors: Sequence[EventError]) -> None:
        first = errors[0]
        more = f" (and {len(errors) - 1:,} more)" if len(errors) > 1 else ""
        super().__init__(f"events[{first.index}]: {first.field}: {first.reason}{more}")
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class Submission:
    """Events that belong together. ``digest`` names the content where the events alone do not, as a file's does.

    ``approve``: a person knows of it. ``hold``: nobody is there to ask, so what the guard stops is kept meanwhile.
    """

    events: Sequence[AgentEvent | SnapshotEvent]
    door: str
    subject: str
    approve: bool = False
    hold: bool = False
    digest: str = ""

    @property
    def name(self) -> str:
        return self.digest or hashlib.sha256("\n".join(sorted(map(_text, self.events))).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class EventReceipt:
    """Committed. ``accepted`` events were new; ``outcomes`` counts what they came to, ``changes`` who came and went."""

    accepted: int
    duplicates: int
    held: int = 0
    approval_id: int | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)


def accept_events(database: Database, submission: Submission, guard: GuardOptions) -> EventReceipt:
    """Take the events in one transaction; when this returns they are committed, and the planner goes on from there.

    Raises ``EventsRefused``, ``GuardTripped``, or the database's error where it stays away.
    """
    if len(submission.events) > MOST_EVENTS:
        reason = f"{len(submission.events):,} events at once; at most {MOST_EVENTS:,} are taken, split them"
        raise EventsRefused([EventError(MOST_EVENTS, "events", reason)])
    receipt, reason = patiently(lambda: _accept_once(database, submission, guard))
    if reason and receipt.approval_id:
        raise GuardTripped(reason, receipt.approval_id)
    return receipt


def release_held(session: Session, approval_id: int) -> int:
    """A person has said yes: the events are folded as if they had just come. Returns their number."""
    held = roster.held_events(session, approval_id)
    events = [ROSTER_EVENT.validate_json(row.event) for row in held]
    numbers = {(row.source, row.event_id): row.seq for row in held}
    folding = _Folding(session)
    folding.take(events)
    rows = folding.rows(DOOR, roster.WAITING, guarded=False, now=database_now(session))
    held_again = [row for row in rows if (row["source"], row["event_id"]) in numbers]
    names = ("state", "outcome", "before", "after", "planned_at")
    roster.update_events(session, [
        {"number": numbers[row["source"], row["event_id"]]} | {name: row[name] for name in names} for row in held_again
    ])  # fmt: skip
    derived = [row for row in rows if (row["source"], row["event_id"]) not in numbers]
    roster.insert_events(session, [row | {"approval_id": approval_id} for row in derived])
    roster.keep_agents(session, folding.touched)
    return len(held)


def _accept_once(database: Database, submission: Submission, guard: GuardOptions) -> tuple[EventReceipt, str]:
    with database.write() as session:
        now = database_now(session)
        _refuse_future(submission.events, now)
        fresh = _fresh(session, submission.events)
        folding = _Folding(session)
        folding.take(fresh)
        duplicates = len(submission.events) - len(fresh)
        approved = submission.approve or approvals.is_approved(session, DOOR, submission.name)
        reason = "" if approved else _judge(session, folding, guard)
        if not reason:
            roster.insert_events(session, folding.rows(submission.door, roster.WAITING, guarded=not approved, now=now))
            roster.keep_agents(session, folding.touched)
            return folding.receipt(len(fresh), duplicates), ""
        lasts = HELD_FOR if submission.hold else guard.approval_lasts
        asked = approvals.Asked(DOOR, submission.name, submission.subject, reason)
        approval = approvals.request(session, asked, lasts)
        if not submission.hold:
            return EventReceipt(0, duplicates, approval_id=approval.id), reason
        rows = [_row(event, submission.door, roster.HELD, now) | {"approval_id": approval.id} for event in fresh]
        roster.insert_events(session, rows)
        return EventReceipt(len(fresh), duplicates, held=len(fresh), approval_id=approval.id), ""


def _refuse_future(events: Sequence[AgentEvent | SnapshotEvent], now: datetime) -> None:
    errors = [
        EventError(index, "time", f"{event.time.isoformat()} lies in the future; give the time when it happened")
        for index, event in enumerate(events)
        if event.time > now + LATEST
    ]
    if errors:
        raise EventsRefused(errors)


def _fresh(session: Session, events: Sequence[AgentEvent | SnapshotEvent]) -> list[AgentEvent | SnapshotEvent]:
    """Those that were not told before, each once."""
    seen = roster.known_events(session, {(event.source, event.id) for event in events})
    fresh = []
    for event in events:
        if (key := (event.source, event.id)) not in seen:
            seen.add(key)
            fresh.append(event)
    return fresh


@dataclass(frozen=True, slots=True)
class _Told:
    """One event with the agent on both sides of it; a snapshot has nobody on either."""

    event: AgentEvent | SnapshotEvent
    before: RosterAgent | None
    after: RosterAgent | None
    outcome: Outcome


@dataclass(slots=True)
class _Folding:
    """Events folded onto what is known, in memory."""

    session: Session
    known: dict[AgentKey, Facts] = field(default_factory=dict)
    touched: dict[AgentKey, Facts] = field(default_factory=dict)
    told: list[_Told] = field(default_factory=list)

    def take(self, events: Iterable[AgentEvent | SnapshotEvent]) -> None:
        events = list(events)
        keys = {(event.data.profile, event.data.agent) for event in events if not isinstance(event, SnapshotEvent)}
        for profile in sorted({event.data.profile for event in events if isinstance(event, SnapshotEvent)}):
            keys.update(roster.agents_of(self.session, profile))
        self.known = roster.lock_agents(self.session, keys)
        for event in events:
            if isinstance(event, SnapshotEvent):
                self.told.append(_Told(event, None, None, Outcome.APPLIED))
                for derived in self._differences(event):
                    self._fold(derived)
            else:
                self._fold(event)

    def _differences(self, event: SnapshotEvent) -> list[AgentEvent]:
        profile = event.data.profile
        known = {agent: facts for (home, agent), facts in self.known.items() if home == profile}
        return diff(known, event.data, at=event.time, source=event.source, event_id=event.id)

    def _fold(self, event: AgentEvent) -> None:
        key = (event.data.profile, event.data.agent)
        before = self.known.get(key, Facts())
        folded = fold(before, event)
        self.known[key] = self.touched[key] = folded.facts
        self.told.append(_Told(event, agent_of(*key, before), agent_of(*key, folded.facts), folded.outcome))

    def rows(self, door: str, state: str, *, guarded: bool, now: datetime) -> list[dict[str, Any]]:
        return [
            _row(one.event, door, roster.PLANNED if isinstance(one.event, SnapshotEvent) else state, now)
            | {"outcome": one.outcome, "before": _json(one.before), "after": _json(one.after), "guarded": guarded}
            for one in self.told
        ]

    def receipt(self, accepted: int, duplicates: int) -> EventReceipt:
        told = [one for one in self.told if not isinstance(one.event, SnapshotEvent)]
        changes = Counter(_verb(one) for one in told if one.before != one.after)
        return EventReceipt(accepted, duplicates, outcomes=Counter(one.outcome for one in told), changes=changes)


def _judge(session: Session, folding: _Folding, guard: GuardOptions) -> str:
    """Why a person has to be asked; empty where nobody has."""
    by_profile = defaultdict[str, list[Change]](list)
    for one in folding.told:
        if one.before and one.before != one.after:
            by_profile[one.before.profile].append(_change(one.event.time, one.before, one.after))
    for profile, changes in sorted(by_profile.items()):
        times = [change.at for change in changes]
        past = roster.guarded_changes(session, profile, min(times) - guard.window, max(times) + guard.window)
        everything = [*changes, *(_change(one.at, one.before, one.after) for one in past)]
        if len(everything) <= guard.floor:
            continue
        size, sizes = roster.size_of(session, profile), roster.group_sizes(session, profile)
        if reason := judge_roster(everything, size, sizes, guard):
            return f"{profile}: {reason}"
    return ""


def _change(at: datetime, before: RosterAgent, after: RosterAgent | None) -> Change:
    kind = ChangeKind.CHANGED if after else ChangeKind.REMOVED
    left = set(before.groups) - set(after.groups if after else ())
    return Change(at, before.agent, kind, tuple(sorted(left)))


def _verb(one: _Told) -> str:
    if one.before is None:
        return "joined"
    if one.after is None:
        return "left"
    return "moved" if one.before.groups != one.after.groups else "changed"


def _row(event: AgentEvent | SnapshotEvent, door: str, state: str, now: datetime) -> dict[str, Any]:
    planned = state == roster.PLANNED
    return {
        "source": event.source,
        "event_id": event.id,
        "type": event.type,
        "time": event.time,
        "profile": event.data.profile,
        "agent": "" if isinstance(event, SnapshotEvent) else event.data.agent,
        "event": _text(event),
        "door": door,
        "state": state,
        "received_at": now,
        "planned_at": now if planned else None,
    }


def _text(event: AgentEvent | SnapshotEvent) -> str:
    return event.model_dump_json(by_alias=True, exclude_unset=True)


def _json(agent: RosterAgent | None) -> str | None:
    return agent.model_dump_json(by_alias=True) if agent else None
