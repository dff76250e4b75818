"""Events of the roster as a person has them at hand: one as JSON, an array of them, or one a line."""

from typing import NamedTuple

from worker.intake.event_files import read_events
from worker.intake.json_text import BrokenJson, parse_json
from worker.intake.lines import read_block
from worker.intake.read_events import in_one_line, read_event
from worker.intake.roster_folding import Event
from worker.intake.source import FileRefused, FileSource, Source, opened, spool

_MOST_BYTES = 64 << 20


class AtHand(NamedTuple):
    """``place`` is the file, and the line or the place in the array."""

    event: Event
    place: str


def events_at_hand(source: Source) -> list[AtHand]:
    """Raises ``FileRefused`` with the first thing that is wrong, by its place."""
    with spool(source) as file:
        whole = _whole(file)
        return _lines(file) if whole is None else [_one(given, place) for given, place in whole]


def _whole(file: FileSource) -> list[tuple[object, str]] | None:
    """What the file holds as one piece of JSON, each thing with its place; None where it is many pieces."""
    with opened(file) as stream:
        content = read_block(stream, _MOST_BYTES + 1, file.name, 1)
    if len(content) > _MOST_BYTES:
        raise FileRefused(f"{file.name}: holds more than {_MOST_BYTES >> 20} MiB; give fewer events")
    try:
        text = content.decode("utf-8-sig")
        given = parse_json(text, keep_null=True)
    except UnicodeDecodeError:
        return None  # the reader of lines says what it is
    except BrokenJson as broken:
        if text.lstrip().startswith("[") or text.partition("\n")[0].strip() == "{":
            raise FileRefused(f"{file.name}: {broken}, counted from the file's beginning") from None
        return None
    if isinstance(given, list):
        return [(one, f"{file.name}, events[{number}]") for number, one in enumerate(given)]
    return [(given, file.name)]


def _one(given: object, place: str) -> AtHand:
    read = read_event(given)
    if isinstance(read, tuple):
        raise FileRefused(f"{place}: {in_one_line(read)}")
    return AtHand(read, place)


def _lines(file: FileSource) -> list[AtHand]:
    found = read_events(file)
    if found.bad:
        first, *others = found.bad
        more = f" (and {len(others):,} more lines are wrong)" if others else ""
        raise FileRefused(f"{file.name}, line {first.line}: {in_one_line(first.errors)}{more}")
    return [
        AtHand(*one) for one in zip(found.events, [f"{file.name}, line {line}" for line in found.lines], strict=True)
    ]
