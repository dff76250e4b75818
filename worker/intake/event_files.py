"""A file of the roster's events: CloudEvents in JSON, one a line. With one wrong line nothing of it is taken."""

from dataclasses import dataclass
from itertools import chain

from worker.intake.encoding import refuse_foreign, text_of
from worker.intake.format import Format, format_of
from worker.intake.lines import Line, read_lines
from worker.intake.printable import printable
from worker.intake.read_events import read_event_text
from worker.intake.readers import MAX_RAW_CHARACTERS, BadRow
from worker.intake.records import first_line
from worker.intake.roster_events import MOST_EVENTS, EventsRefused
from worker.intake.roster_folding import Event
from worker.intake.row_errors import FieldError
from worker.intake.source import FileRefused, Source, opened

MOST_BAD = 10_000  # nothing is taken anyway: the rest is not read


@dataclass(frozen=True, slots=True)
class EventFile:
    """``lines`` says where each event stands."""

    events: tuple[Event, ...]
    lines: tuple[int, ...]
    bad: tuple[BadRow, ...]

    @property
    def rows(self) -> int:
        return len(self.events) + len(self.bad)

    def refused_rows(self, refused: EventsRefused) -> tuple[BadRow, ...]:
        """What the door says of events, by their lines."""
        return tuple(
            BadRow(error.index + 1, self.lines[error.index], (FieldError(error.field, error.reason),), "")
            for error in refused.errors
        )


def read_events(source: Source) -> EventFile:
    """Raises ``FileRefused`` for a file that cannot be read at all."""
    events: list[Event] = []
    at: list[int] = []
    bad: list[BadRow] = []
    with opened(source) as stream:
        lines = read_lines(stream, source.name)
        first = first_line(lines, source.name)
        refuse_foreign(first, source.name)
        if format_of(first, source.name) is not Format.JSONL:
            raise FileRefused(
                f"{source.name}: events are read as JSON lines; write one a line and name the file .jsonl"
            )
        for line in chain([first], lines):
            if not line.data.strip():
                continue
            read = _read(line)
            if isinstance(read, tuple):
                bad.append(BadRow(len(events) + len(bad) + 1, line.number, read, _raw(line)))
            else:
                events.append(read)
                at.append(line.number)
            if len(bad) == MOST_BAD:
                break
            if len(events) > MOST_EVENTS:
                raise FileRefused(f"{source.name}: holds more than {MOST_EVENTS:,} events; split it")
    return EventFile(tuple(events), tuple(at), tuple(bad))


def _read(line: Line) -> Event | tuple[FieldError, ...]:
    text = text_of(line)
    return (text,) if isinstance(text, FieldError) else read_event_text(text.rstrip("\r\n"))


def _raw(line: Line) -> str:
    return printable(line.data.decode(errors="backslashreplace").rstrip("\r\n"), MAX_RAW_CHARACTERS)
