"""The query of a request, as a gRPC-JSON gateway reads it."""

import re
from urllib.parse import unquote_plus

from api_adapter.sandbox.errors import Refusal

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_query(raw: str, known: frozenset[str]) -> dict[str, str]:
    """The ``known`` parameters; others are ignored without a word, a repeated known one is 400 (grpc-gateway)."""
    if _BAD_ESCAPE.search(raw):
        raise Refusal(400, "invalid URL escape in the query")
    fields: dict[str, str] = {}
    for pair in raw.split("&"):
        key, _, value = pair.partition("=")
        key = _decoded(key)
        if key not in known:
            continue
        if key in fields:
            raise Refusal(400, f'too many values for field "{key}"')
        fields[key] = _decoded(value)
    return fields


def _decoded(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise Refusal(400, "the query is no valid UTF-8") from None
