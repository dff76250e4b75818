"""The roster's door, the only one: a submission of events is taken whole, once, or refused.

EventsRefused   an event cannot be taken; nothing was written. Its ``errors`` name each by its place in the submission.
GuardTripped    it would change more than the guard allows; nothing was written but the request for approval.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlmodel import Session

from schemas.names import customer_of
from schemas.roster import ROSTER_EVENT, RosterAgent, SnapshotEvent
from worker.configuration.oversight import GuardOptions
from worker.core.guard import Change, ChangeKind, GuardTripped, judge_roster
from worker.counts import counted
from worker.intake.patience import patiently
from worker.intake.roster_folding import Event, Folding, Told
from worker.store import approvals, roster
from worker.store.engine import Database, database_now
from worker.store.roster import EventKey, Unreadable

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
        place = f"events[{first.index}]" + (f": {first.field}" if first.field else "")
        super().__init__(f"{place}: {first.reason}{more}")
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class Submission:
    """Events that belong together. ``digest`` names the content where the events alone do not, as a file's does.

    ``approve``: a person knows of it. ``hold``: nobody is there to ask, so what the guard stops is kept meanwhile.
    ``aside``: what came with them and is no event; it is kept where a person sees it.
    """

    events: Sequence[Event]
    door: str
    subject: str
    approve: bool = False
    hold: bool = False
    digest: str = ""
    aside: Sequence[Unreadable] = ()

    @property
    def name(self) -> str:
        return self.digest or hashlib.sha256("\n".join(sorted(map(_text, self.events))).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class EventReceipt:
    """``accepted`` events were new; ``outcomes`` counts what they came to, ``changes`` who came, went and moved.

    ``held`` ones of them change nothing before a person has said yes to ``approval_id``.
    """

    accepted: int
    duplicates: int
    held: int = 0
    approval_id: int | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Weighed:
    """``reason``: why a person has to be asked; empty where nobody has."""

    fresh: list[Event]
    folding: Folding
    guarded: bool
    reason: str
    receipt: EventReceipt


def accept_events(database: Database, submission: Submission, guard: GuardOptions) -> EventReceipt:
    """Take the events in one transaction; when this returns they are committed, and the planner goes on from there.

    Raises ``EventsRefused``, ``GuardTripped``, or the database's error where it stays away.
    """
    if len(submission.events) > MOST_EVENTS:
        reason = f"at most {MOST_EVENTS:,} events are taken at once; split them"
        raise EventsRefused([EventError(MOST_EVENTS, "", reason)])
    receipt, reason = patiently(lambda: _accept_once(database, submission, guard))
    if reason and receipt.approval_id:
        raise GuardTripped(reason, receipt.approval_id)
    return receipt


class Foreseen(NamedTuple):
    """``reason``: why the guard would stop it, empty where it would not. ``told``: each event with its agent."""

    receipt: EventReceipt
    reason: str
    told: Sequence[Told]


def foresee(database: Database, submission: Submission, guard: GuardOptions) -> Foreseen:
    """What ``accept_events`` would come to; nothing is written. Raises ``EventsRefused`` or the database's error."""
    with database.read() as session:
        weighed = _weigh(session, submission, guard, database_now(session))
    return Foreseen(weighed.receipt, weighed.reason, weighed.folding.of_agents)


def release_held(session: Session, approval_id: int) -> int:
    """A person has said yes: the events are folded as if they had just come. Returns their number.

    Whoever decides takes the door first (``roster.take_door``), as all do who come in, or the two would meet crosswise.
    """
    roster.take_door(session)
    held = roster.held_events(session, approval_id)
    numbers = {(row.source, row.event_id): row.seq for row in held}
    folding = Folding(session)
    folding.take([ROSTER_EVENT.validate_json(row.event) for row in held])
    rows = _rows(folding, DOOR, guarded=False, now=database_now(session))
    released = [row for row in rows if _key(row) in numbers]
    names = ("state", "outcome", "before", "after", "planned_at")
    roster.update_events(
        session, [{"number": numbers[_key(row)]} | {name: row[name] for name in names} for row in released]
    )
    derived = [row | {"approval_id": approval_id} for row in rows if _key(row) not in numbers]
    roster.insert_events(session, derived)
    roster.keep_agents(session, folding.touched)
    return len(held)


def reject_held(session: Session, approval_id: int) -> int:
    """A person has said no: the events change nothing. Returns their number."""
    roster.take_door(session)
    return roster.reject_held(session, approval_id)


def _accept_once(database: Database, submission: Submission, guard: GuardOptions) -> tuple[EventReceipt, str]:
    with database.write() as session:
        roster.take_door(session)
        now = database_now(session)
        weighed = _weigh(session, submission, guard, now)
        roster.put_aside(session, submission.door, submission.aside, now)
        if weighed.reason:
            return _stop(session, submission, weighed, guard)
        rows = _rows(weighed.folding, submission.door, guarded=weighed.guarded, now=now)
        roster.insert_events(session, rows)
        roster.keep_agents(session, weighed.folding.touched)
        return weighed.receipt, ""


def _weigh(session: Session, submission: Submission, guard: GuardOptions, now: datetime) -> _Weighed:
    _refuse_future(submission.events, now)
    fresh = _fresh(session, submission.events)
    folding = Folding(session)
    folding.take(fresh)
    approved = submission.approve or approvals.is_approved(session, DOOR, submission.name)
    reason = "" if approved else _judge(session, folding, guard)
    outcomes = Counter[str](one.outcome for one in folding.of_agents)
    receipt = EventReceipt(
        len(fresh), len(submission.events) - len(fresh), outcomes=outcomes, changes=folding.changes()
    )
    return _Weighed(fresh, folding, not approved, reason, receipt)


def _stop(session: Session, submission: Submission, weighed: _Weighed, guard: GuardOptions) -> tuple[EventReceipt, str]:
    """A person is asked. Where nobody waits for the answer, the events wait for it."""
    duplicates = weighed.receipt.duplicates
    if not submission.hold:
        asked = approvals.Asked(DOOR, submission.name, submission.subject, weighed.reason)
        approval = approvals.request(session, asked, guard.approval_lasts)
        return EventReceipt(0, duplicates, approval_id=approval.id), weighed.reason
    number = len(weighed.fresh)
    approval_id = _approval_of_held(session, submission, weighed)
    now = database_now(session)
    rows = [_row(event, submission.door, roster.HELD, now) | {"approval_id": approval_id} for event in weighed.fresh]
    roster.insert_events(session, rows)
    return EventReceipt(number, duplicates, held=number, approval_id=approval_id), ""


def _approval_of_held(session: Session, submission: Submission, weighed: _Weighed) -> int:
    """One for all that a door holds: a storm of events is one question."""
    number = len(weighed.fresh)
    if standing := roster.held_by(session, submission.door):
        approval_id, before = standing
        approvals.say_anew(
            session, approval_id, f"{weighed.reason}; {counted(before + number, 'event is', 'events are')} held"
        )
        return approval_id
    reason = f"{weighed.reason}; {counted(number, 'event is', 'events are')} held"
    asked = approvals.Asked(DOOR, f"held {submission.name}", submission.subject, reason)
    return approvals.request(session, asked, HELD_FOR).id


def _refuse_future(events: Sequence[Event], now: datetime) -> None:
    errors = [
        EventError(index, "time", f"{event.time.isoformat()} lies in the future; give the time when it happened")
        for index, event in enumerate(events)
        if event.time > now + LATEST
    ]
    if errors:
        raise EventsRefused(errors)


def _fresh(session: Session, events: Sequence[Event]) -> list[Event]:
    """Those that were not told before, each once. Raises ``EventsRefused``.

    Who may speak of one customer takes no name that another's event has, or is going to have: it would never be heard.
    """
    seen = roster.known_events(session, {(event.source, event.id) for event in events})
    fresh, errors = [], []
    for index, event in enumerate(events):
        profile = seen.setdefault((event.source, event.id), "")
        if not profile:
            seen[event.source, event.id] = event.data.profile
            fresh.append(event)
        elif customer_of(profile) != customer_of(event.data.profile):
            errors.append(EventError(index, "id", "an event of another customer has this source and id"))
    if errors:
        raise EventsRefused(errors)
    return fresh


def _judge(session: Session, folding: Folding, guard: GuardOptions) -> str:
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


def _rows(folding: Folding, door: str, *, guarded: bool, now: datetime) -> list[dict[str, Any]]:
    """A snapshot needs no planning: the events that it stands for do."""
    return [
        _row(one.event, door, roster.PLANNED if isinstance(one.event, SnapshotEvent) else roster.WAITING, now)
        | {"outcome": one.outcome, "before": _json(one.before), "after": _json(one.after), "guarded": guarded}
        for one in folding.told
    ]


def _key(row: Mapping[str, Any]) -> EventKey:
    return row["source"], row["event_id"]


def _row(event: Event, door: str, state: str, now: datetime) -> dict[str, Any]:
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


def _text(event: Event) -> str:
    return event.model_dump_json(by_alias=True, exclude_unset=True)


def _json(agent: RosterAgent | None) -> str | None:
    return agent.model_dump_json(by_alias=True) if agent else None
