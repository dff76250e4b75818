"""Pages of ListTargets (AIP-158): the token names the last target shown; the empty token ends the list."""

import base64
import binascii
import re

from api_adapter.sandbox.errors import Refusal
from api_adapter.sandbox.query import parse_query
from schemas.numbers import INT32_MAX

_PARAMETERS = frozenset({"pageSize", "pageToken"})
_DEFAULT_SIZE = 100  # ours: AIP-158 leaves it to the service
_MOST = 1000  # ours: as above; a larger size is cut down without a word
_INTEGER = re.compile(r"-?[0-9]{1,10}")
_MARK = "after:"  # so that the token of a position before the first target is not empty


def read_page(query: str) -> tuple[str, int]:
    """The name after which the page begins, and its size."""
    given = parse_query(query, _PARAMETERS)
    return _read_token(given.get("pageToken", "")), _read_size(given.get("pageSize", "0"))


def page_token(after: str) -> str:
    return base64.urlsafe_b64encode(f"{_MARK}{after}".encode()).decode().rstrip("=")


def _read_token(token: str) -> str:
    if not token:
        return ""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text.startswith(_MARK):
        raise Refusal(400, "pageToken is none that this list has given")
    return text.removeprefix(_MARK)


def _read_size(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -INT32_MAX <= int(text) <= INT32_MAX:
        raise Refusal(400, f"pageSize: {text[:40]!r} is no int32")
    if int(text) < 0:
        raise Refusal(400, "pageSize must not be negative")
    return min(int(text) or _DEFAULT_SIZE, _MOST)
