"""A year of a contact centre, from a seed: who joins, leaves and moves, and how the world hears of it.

The truth is simulated first, day by day; then it is told badly: events late, twice and in no order, nightly exports,
one of them cut off. What the policy wants in the end is worked out here from the truth, by code that shares nothing
with the one under test.
"""

import csv
import io
import json
import random  # noqa: TID251 - of a seed, which is an argument
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from schemas.instants import format_instant

PROFILE = "customers/acme/profiles/support"
GROUPS = ("tier-1", "tier-2", "night")
USECASES = ("voice", "chat")
NEW_FOR = timedelta(days=30)
FORTNIGHT = timedelta(days=14)
LATE, TWICE = 0.05, 0.05
_JOINS, _MOVES = 0.0016, 0.002  # a day, of all agents; as many leave as join
_MOVED_AT_ONCE = 0.6


@dataclass(frozen=True, slots=True)
class Person:
    """One agent as the truth has them."""

    name: str
    group: str
    usecases: tuple[str, ...]
    joined_at: datetime

    @property
    def plan(self) -> str:
        return f"{PROFILE}/coachingPlans/plan-{self.name}"


@dataclass(frozen=True, slots=True)
class Happening:
    """An event as it was meant; ``bulk``: part of a re-organisation."""

    at: datetime
    verb: str
    who: Person
    bulk: bool = False

    def event(self, number: int) -> dict[str, Any]:
        data: dict[str, Any] = {"agent": self.who.name, "profile": PROFILE}
        if self.verb != "left":
            data["groups"] = [self.who.group]
        if self.verb == "joined":
            data |= {
                "usecases": [f"{PROFILE}/usecases/{one}" for one in self.who.usecases],
                "coachingPlanName": self.who.plan,
                "joinedAt": format_instant(self.who.joined_at),
            }
        return {
            "specversion": "1.0",
            "id": f"h-{number}",
            "source": "/hr",
            "type": f"coaching.roster.agent.{self.verb}",
            "time": format_instant(self.at),
            "data": data,
        }


@dataclass(frozen=True, slots=True)
class Told:
    """What one command is given: a file of events, or a nightly export as of a day."""

    name: str
    text: str
    as_of: datetime | None = None
    bulk: bool = False
    truncated: bool = False
    roster: tuple[Person, ...] = ()


@dataclass
class Year:
    """``told`` in the order in which the world hears of it; ``staff`` is the truth at the end."""

    told: list[Told]
    staff: dict[str, Person]
    happenings: int
    delivered: int

    def wanted(self, now: datetime) -> dict[tuple[str, str, str], float]:
        """What the policy of ``policy_file`` wants: (template, criterion, coaching plan) → percentage."""
        found: dict[tuple[str, str, str], float] = {}
        for person in self.staff.values():
            if "voice" in person.usecases:
                found["compliance", "", person.plan] = _compliance(person, now)
            if "chat" in person.usecases and person.group == "night":
                found["empathy", "greeting", person.plan] = 70.0
        return found


def _compliance(person: Person, now: datetime) -> float:
    if now < person.joined_at + NEW_FOR:
        return 60.0
    return 85.0 if person.group == "tier-2" else 75.0


def policy_file() -> str:
    """The same in the words of coachsync.toml."""
    return f"""
[reconcile]
share = 0.3
target = "enforce"

[[policy.quotas]]
name = "voice quota"
template = "{PROFILE}/scorecardTemplates/compliance@3"
usecase = "{PROFILE}/usecases/voice"

[[policy.quotas]]
name = "chat quota at night"
template = "{PROFILE}/scorecardTemplates/empathy@2"
usecase = "{PROFILE}/usecases/chat"
groups = ["night"]

[[policy.targets]]
name = "new hires"
template = "{PROFILE}/scorecardTemplates/compliance"
usecase = "{PROFILE}/usecases/voice"
first_days = {NEW_FOR.days}
target = 60
create = true

[[policy.targets]]
name = "second tier"
template = "{PROFILE}/scorecardTemplates/compliance"
usecase = "{PROFILE}/usecases/voice"
groups = ["tier-2"]
target = 85
create = true

[[policy.targets]]
name = "everybody"
template = "{PROFILE}/scorecardTemplates/compliance"
usecase = "{PROFILE}/usecases/voice"
target = 75
create = true

[[policy.targets]]
name = "night chats"
template = "{PROFILE}/scorecardTemplates/empathy"
usecase = "{PROFILE}/usecases/chat"
criterion = "greeting"
groups = ["night"]
target = 70
create = true
"""


@dataclass
class Simulation:
    """``begin`` is the first day; everything else comes of the seed."""

    agents: int
    fortnights: int
    seed: int
    begin: datetime
    staff: dict[str, Person] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
    hired: int = 0
    clock: datetime = field(init=False)

    def run(self) -> Year:
        self.dice = random.Random(self.seed)  # noqa: S311 - a story, no secret
        for _ in range(self.agents):
            self._join(self.begin)
        opening, self.happenings = tuple(self.staff.values()), []
        told = [Told("opening.csv", export(opening), as_of=self.begin, roster=opening)]
        late: list[str] = []
        bulk_in = {self.fortnights // 4, self.fortnights // 2, self.fortnights * 3 // 4}
        for number in range(self.fortnights):
            told += self._fortnight(number, late, bulk=number in bulk_in)
        told.append(Told("late.jsonl", "\n".join(late) + "\n"))
        delivered = sum(one.text.count("\n") for one in told if one.as_of is None)
        return Year([one for one in told if one.text.strip()], dict(self.staff), self._told, delivered)

    _told: int = 0

    def _fortnight(self, number: int, late: list[str], *, bulk: bool) -> Iterable[Told]:
        start = self.begin + number * FORTNIGHT
        self.happenings = []
        for day in range(1, FORTNIGHT.days):
            self._day(start + timedelta(days=day))
        lines = [*late, *self._lines(self.happenings)]
        late.clear()
        late += [lines.pop(self.dice.randrange(len(lines))) for _ in range(int(len(lines) * LATE))]
        lines += [self.dice.choice(lines) for _ in range(int(len(lines) * TWICE))]
        self.dice.shuffle(lines)
        yield Told(f"fortnight-{number:02d}.jsonl", "\n".join(lines) + "\n", roster=tuple(self.staff.values()))
        if bulk:
            yield self._reorganise(number, start + FORTNIGHT - timedelta(minutes=40))
        everybody = tuple(self.staff.values())
        as_of = start + FORTNIGHT - timedelta(minutes=20)
        if number == self.fortnights * 2 // 3:
            yield Told("truncated.csv", export(everybody[: len(everybody) * 2 // 5]), as_of=as_of, truncated=True)
        elif number % 3 == 1:
            yield Told(f"export-{number:02d}.csv", export(everybody), as_of=as_of, roster=everybody)

    def _day(self, day: datetime) -> None:
        self.clock = day
        for _ in range(self._about(_JOINS)):
            self._join(self._next_moment())
        for _ in range(self._about(_JOINS)):
            who = self.staff.pop(self._somebody())
            self.happenings.append(Happening(self._next_moment(), "left", who))
        for _ in range(self._about(_MOVES)):
            self._move(self._somebody(), self._next_moment())

    def _reorganise(self, number: int, at: datetime) -> Told:
        self.happenings = []
        for name in self.dice.sample(sorted(self.staff), int(len(self.staff) * _MOVED_AT_ONCE)):
            self._move(name, at, bulk=True)
        lines = self._lines(self.happenings)
        self.dice.shuffle(lines)
        return Told(
            f"reorganisation-{number:02d}.jsonl", "\n".join(lines) + "\n", bulk=True, roster=tuple(self.staff.values())
        )

    def _join(self, at: datetime) -> None:
        self.hired += 1
        usecases = self.dice.choice((("voice",), ("chat",), USECASES))
        long_there = at == self.begin and self.dice.random() < 0.9
        joined_at = at - timedelta(days=400) if long_there else at
        who = Person(f"a{self.hired:05d}", self.dice.choice(GROUPS), usecases, joined_at)
        self.staff[who.name] = who
        self.happenings.append(Happening(at, "joined", who))

    def _move(self, name: str, at: datetime, *, bulk: bool = False) -> None:
        who = self.staff[name]
        other = self.dice.choice([group for group in GROUPS if group != who.group])
        self.staff[name] = replace(who, group=other)
        self.happenings.append(Happening(at, "moved", self.staff[name], bulk))

    def _lines(self, happenings: Sequence[Happening]) -> list[str]:
        first = self._told
        self._told += len(happenings)
        return [json.dumps(one.event(first + number)) for number, one in enumerate(happenings)]

    def _somebody(self) -> str:
        return self.dice.choice(sorted(self.staff))

    def _about(self, share: float) -> int:
        expected = len(self.staff) * share
        return int(expected) + (self.dice.random() < expected % 1)

    def _next_moment(self) -> datetime:
        """One after the other: nobody is moved twice in an order that their times deny."""
        self.clock += timedelta(milliseconds=self.dice.randrange(1, 20 * 60 * 1000))
        return self.clock


def export(staff: Iterable[Person]) -> str:
    """As the personnel department's system writes it: its own column names."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["Employee", "Team", "Channels", "Plan", "Hired"])
    for person in staff:
        channels = ";".join(f"{PROFILE}/usecases/{one}" for one in person.usecases)
        writer.writerow([person.name, person.group, channels, person.plan, format_instant(person.joined_at)])
    return out.getvalue()


COLUMNS: Mapping[str, str] = {
    "agent": "Employee",
    "groups": "Team",
    "usecases": "Channels",
    "coachingPlanName": "Plan",
    "joinedAt": "Hired",
}
