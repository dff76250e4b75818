"""A roster file: all agents of a profile, or of several, one a row. With one wrong row nothing of it is taken.

A roster with holes would have people leave who are there.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel, to_snake

from schemas.roster import RosterAgent, RosterSnapshot
from worker.configuration.oversight import RosterColumns
from worker.intake.printable import printable
from worker.intake.readers import MAX_RAW_CHARACTERS, BadRow
from worker.intake.record import Fields, Record
from worker.intake.records import records_of
from worker.intake.row_errors import FieldError, errors_of
from worker.intake.source import FileRefused, Readable, Source, opened
from worker.intake.spellings import Spellings

MOST_AGENTS = 1_000_000
MOST_BAD = 10_000  # nothing is taken anyway: the rest is not read
SEPARATOR = ";"
_LISTS = ("groups", "usecases")
_STATED_WHEN_EMPTY = frozenset({*_LISTS, "coachingPlanName"})
_COLLECTIONS = {"usecases": "usecases", "coachingPlanName": "coachingPlans"}


@dataclass(frozen=True, slots=True)
class RosterForm:
    """What is known of a roster file beside it: its columns, and the profile of rows that name none.

    ``only``: rows of another profile are wrong, since a person has named this one.
    """

    columns: RosterColumns
    profile: str | None = None
    only: bool = False


@dataclass(frozen=True, slots=True)
class RosterFile:
    """``rosters`` is empty where a row is ``bad``. ``digest`` names the content.

    ``ends_whole``: the last line has its line end. A file that was cut off in a cell is told from a whole one by it.
    """

    rows: int
    rosters: tuple[RosterSnapshot, ...]
    bad: tuple[BadRow, ...]
    digest: str
    ends_whole: bool


def read_roster(source: Source, form: RosterForm) -> RosterFile:
    """Raises ``FileRefused`` for a file that cannot be read at all, or holds nobody."""
    spellings = spellings_of(form)
    with opened(source) as stream:
        watched = _Watched(stream)
        reading = _Reading(form, dict(spellings.called))
        for record in records_of(watched, source.name, spellings):
            reading.take(record)
            if len(reading.bad) == MOST_BAD:
                break
            if reading.rows > MOST_AGENTS:
                raise FileRefused(f"{source.name}: holds more than {MOST_AGENTS:,} rows, which is no roster")
    if not reading.rows:
        raise FileRefused(f"{source.name}: holds no rows; a roster without anybody is not taken")
    reading.check_keys(source.name)
    rosters = () if reading.bad else reading.rosters()
    return RosterFile(reading.rows, rosters, tuple(reading.bad), watched.digest, watched.ends_whole)


def spellings_of(form: RosterForm) -> Spellings:
    """Raises ``FileRefused`` where two fields are called the same."""
    columns: dict[str, str] = {}
    called: dict[str, str] = {}
    for snake in RosterAgent.model_fields:
        camel, named = to_camel(snake), getattr(form.columns, snake)
        for spelling in (named,) if named else (snake, camel):
            if columns.setdefault(spelling, camel) != camel:
                raise FileRefused(_called_twice(spelling, columns[spelling], camel))
        if named:
            called[camel] = f'"{printable(named, 80)}" ({camel}, as [roster.columns] says)'
    profile = () if form.profile else ("profile",)
    required = tuple(dict.fromkeys(("agent", *profile, *called)))
    return Spellings(columns, columns, required, _STATED_WHEN_EMPTY, open=True, called=called)


def _called_twice(name: str, first: str, second: str) -> str:
    return f'[roster.columns]: {first} and {second} are both "{printable(name, 80)}"; a column holds one field'


@dataclass(slots=True)
class _Watched:
    """A stream that is read once, and afterwards known by its content."""

    stream: Readable
    _sha256: Any = field(default_factory=hashlib.sha256)
    _last: bytes = b""

    def read(self, size: int = -1, /) -> bytes:
        block = self.stream.read(size)
        self._sha256.update(block)
        self._last = block[-1:] or self._last
        return block

    @property
    def digest(self) -> str:
        return str(self._sha256.hexdigest())

    @property
    def ends_whole(self) -> bool:
        return self._last in (b"\n", b"\r")


@dataclass(slots=True)
class _Reading:
    form: RosterForm
    unseen: dict[str, str]
    rows: int = 0
    bad: list[BadRow] = field(default_factory=list)
    _agents: dict[tuple[str, str], RosterAgent] = field(default_factory=dict)
    _lines: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        self.rows += 1
        errors = record.content if isinstance(record.content, tuple) else self._take(record, record.content)
        if errors:
            raw = printable(record.text.rstrip("\r\n"), MAX_RAW_CHARACTERS)
            self.bad.append(BadRow(self.rows, record.line, errors, raw))

    def rosters(self) -> tuple[RosterSnapshot, ...]:
        by_profile: dict[str, list[RosterAgent]] = {}
        for agent in self._agents.values():
            by_profile.setdefault(agent.profile, []).append(agent)
        return tuple(RosterSnapshot(profile=one, agents=tuple(agents)) for one, agents in sorted(by_profile.items()))

    def check_keys(self, name: str) -> None:
        """JSON lines have no header: a key that the settings name and no line has is a mistake in the settings."""
        if self.unseen and not self.bad:
            raise FileRefused(f"{name}: no line has the key {', '.join(self.unseen.values())}")

    def _look_for_keys(self, text: str, content: Fields) -> None:
        """A key may be there and say ``null``; a header has been looked at already."""
        is_json = text.lstrip().startswith("{")
        for called in [*self.unseen]:
            if called in content or not is_json or f'"{getattr(self.form.columns, to_snake(called))}"' in text:
                del self.unseen[called]

    def _take(self, record: Record, content: Fields) -> tuple[FieldError, ...]:
        if self.unseen:
            self._look_for_keys(record.text, content)
        fields = _at_home(_with_lists(content), self.form)
        try:
            agent = RosterAgent.model_validate(fields)
        except ValidationError as refusal:
            return tuple(self._in_its_column(error) for error in errors_of(refusal, fields))
        if self.form.only and agent.profile != self.form.profile:
            return (FieldError("profile", f"is not {self.form.profile}, which is to be imported", agent.profile),)
        key = (agent.profile, agent.agent)
        if (first := self._lines.setdefault(key, record.line)) != record.line:
            return (FieldError("agent", f"stands in line {first} already", agent.agent),)
        self._agents[key] = agent
        return ()

    def _in_its_column(self, error: FieldError) -> FieldError:
        """Who wrote the file knows its columns, and not always our fields."""
        named = getattr(self.form.columns, to_snake(error.field.partition("[")[0]), None)
        return replace(error, reason=f'{error.reason} (column "{printable(named, 80)}")') if named else error


def _with_lists(content: Fields) -> Fields:
    """``tier-1;night`` in a cell is two groups."""
    lists: dict[str, Callable[[str], object]] = dict.fromkeys(_LISTS, _split)
    return {
        name: lists[name](value) if name in lists and isinstance(value, str) else value
        for name, value in content.items()
    }


def _split(cell: str) -> list[str]:
    return [part for one in cell.split(SEPARATOR) if (part := one.strip())]


def _at_home(fields: Fields, form: RosterForm) -> Fields:
    """A usecase or a plan that is named by its id alone is one of the agent's profile."""
    profile = fields.get("profile", form.profile)
    home = {"profile": profile} if profile is not None else {}
    whole: Mapping[str, object] = {
        name: _named(fields[name], f"{profile}/{collection}/")
        for name, collection in _COLLECTIONS.items()
        if name in fields and isinstance(profile, str)
    }
    return {**fields, **home, **whole}


def _named(given: object, prefix: str) -> object:
    match given:
        case str():
            return given if not given or "/" in given else f"{prefix}{given}"
        case list():
            return [_named(one, prefix) for one in given]
        case _:
            return given
