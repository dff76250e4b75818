"""Events of the roster as a person has them at hand: one as JSON, an array of them, or one a line."""

from collections.abc import Iterable

from worker.intake.event_files import read_events
from worker.intake.json_text import BrokenJson, parse_json
from worker.intake.read_events import in_one_line, read_event
from worker.intake.roster_folding import Event
from worker.intake.source import FileRefused, FileSource, Source, opened, spool

_MOST_BYTES = 64 << 20


def events_at_hand(source: Source) -> tuple[Event, ...]:
    """Raises ``FileRefused`` with the first thing that is wrong, by its line or its place in the array."""
    with spool(source) as file:
        whole = _whole(file)
        if isinstance(whole, list):
            return tuple(_one(given, f"{source.name}, events[{place}]") for place, given in enumerate(whole))
        if whole is not None:
            return (_one(whole, source.name),)
        return _lines(file)


def _whole(file: FileSource) -> object:
    """What the file is as one piece of JSON; None where it is many."""
    with opened(file) as stream:
        text = stream.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise FileRefused(f"{file.name}: holds more than {_MOST_BYTES >> 20} MiB; give fewer events")
    try:
        return parse_json(text.decode("utf-8-sig"), keep_null=True)
    except UnicodeDecodeError:
        return None  # the reader of lines says what it is
    except BrokenJson as broken:
        if text.lstrip().startswith(b"[") or text.partition(b"\n")[0].strip() == b"{":
            raise FileRefused(f"{file.name}: {broken}, counted from the file's beginning") from None
        return None


def _one(given: object, place: str) -> Event:
    read = read_event(given)
    if isinstance(read, tuple):
        raise FileRefused(f"{place}: {in_one_line(read)}")
    return read


def _lines(file: FileSource) -> tuple[Event, ...]:
    found = read_events(file)
    for bad in found.bad:
        raise FileRefused(f"{file.name}, line {bad.line}: {in_one_line(bad.errors)}{_more(found.bad[1:])}")
    return found.events


def _more(others: Iterable[object]) -> str:
    number = len(tuple(others))
    return f" (and {number:,} more lines are wrong)" if number else ""
