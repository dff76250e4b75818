"""JSON lines: one object a line. A key that is absent or ``null`` says nothing; an empty string is stated."""

from collections import Counter
from collections.abc import Iterator

from worker.intake.encoding import text_of
from worker.intake.json_text import BrokenJson, parse_json
from worker.intake.lines import Line
from worker.intake.printable import printable
from worker.intake.record import Fields, Record
from worker.intake.row_errors import MAX_VALUE_CHARACTERS, FieldError, value_text
from worker.intake.spellings import Spellings, nearest

_NOUNS = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", int: "a number", float: "a number"}


def jsonl_records(lines: Iterator[Line], known: Spellings) -> Iterator[Record]:
    names = plain_names(known)
    for line in lines:
        text = text_of(line)
        if isinstance(text, FieldError):
            yield Record(line.number, line.data.decode(errors="backslashreplace"), (text,))
        elif not text.isspace():
            yield Record(line.number, text, _content(text, known, names))


def plain_names(known: Spellings) -> frozenset[str]:
    """Those that are spelled as the API spells them: an object with no others is taken as it is."""
    return frozenset(key for key, field in known.keys.items() if key == field)


def fields_of(value: object, known: Spellings, names: frozenset[str]) -> Fields | tuple[FieldError, ...]:
    """Of one row that has been parsed."""
    if not isinstance(value, dict):
        return (FieldError("", f"a row is one JSON object; this is {noun_of(value)}"),)
    return value if value.keys() <= names else _by_name(value, known)


def noun_of(value: object) -> str:
    return _NOUNS.get(type(value), "null")


def _content(text: str, known: Spellings, names: frozenset[str]) -> Fields | tuple[FieldError, ...]:
    try:
        value = parse_json(text.rstrip("\r\n"))
    except BrokenJson as broken:
        return (FieldError("", str(broken)),)
    if not isinstance(value, dict):
        return (FieldError("", f"a line holds one JSON object; this is {noun_of(value)}"),)
    return fields_of(value, known, names)


def _by_name(content: Fields, known: Spellings) -> Fields | tuple[FieldError, ...]:
    spelled = Counter(known.keys.get(key) for key in content)
    unknown = {key: value for key, value in content.items() if key not in known.keys}
    errors = [_unknown(key, value, known) for key, value in unknown.items() if not known.passes_over(key, content)]
    errors += [
        FieldError(name, "given twice, in two spellings") for name, times in spelled.items() if name and times > 1
    ]
    return tuple(errors) or {known.keys[key]: value for key, value in content.items() if key not in unknown}


def _unknown(key: str, value: object, known: Spellings) -> FieldError:
    name = printable(key, MAX_VALUE_CHARACTERS)
    return FieldError(name, f"unknown field{nearest(key, known.keys)}", value_text(value))
