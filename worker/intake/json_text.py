"""JSON from outside: duplicate keys are an error; ``null`` says nothing and is dropped, where it is not asked for."""

import json
from collections import Counter


class BrokenJson(ValueError):  # noqa: N818 - named for what it is; it never leaves the readers
    """Its words follow the name of the line or cell."""


def _whole(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise BrokenJson(f"the key {json.dumps(twice)[:80]} is given twice in one object")
    return members


def _stated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = _whole(pairs)
    if None in members.values():
        return {key: value for key, value in pairs if value is not None}
    return members


_decode = json.JSONDecoder(object_pairs_hook=_stated).decode
_decode_whole = json.JSONDecoder(object_pairs_hook=_whole).decode


def parse_json(text: str, *, keep_null: bool = False) -> object:
    """NaN and Infinity come through as floats: it is for the field they stand in to refuse them by name."""
    try:
        return _decode_whole(text) if keep_null else _decode(text)
    except json.JSONDecodeError as error:
        words = error.msg[0].lower() + error.msg[1:].removesuffix(" at")
        where = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}, column {error.colno}"
        raise BrokenJson(f"not valid JSON at {where}: {words}") from None
    except RecursionError:
        raise BrokenJson("the JSON is nested too deeply") from None
    except BrokenJson:
        raise
    except ValueError:  # int() of more than 4300 digits
        raise BrokenJson("the JSON holds a number of thousands of digits") from None
