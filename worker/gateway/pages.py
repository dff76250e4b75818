"""Long lists, a page at a time (AIP-158): ``pageSize``, ``pageToken``, and ``nextPageToken`` while there is more."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import Query

from worker.gateway.problems import Problem
from worker.telling.records import Fields

T = TypeVar("T")

DEFAULT, MOST = 50, 1_000
_MOST_ROWID = 1 << 63
_SURROGATE = re.compile(r"[\ud800-\udfff]")  # half a character: no database takes it
PageSize = Annotated[
    int, Query(alias="pageSize", ge=0, description=f"At most so many; 0 is {DEFAULT}, above {MOST:,} is {MOST:,}.")
]
PageToken = Annotated[
    str, Query(alias="pageToken", max_length=2_000, description="The `nextPageToken` of the page before, as it is.")
]


@dataclass(frozen=True, slots=True)
class Asked:
    """``last`` is where the page before has ended; None for the first. ``of``: which list, with its filters."""

    of: str
    size: int
    last: Any


def asked(of: str, size: int, token: str, *filters: object) -> Asked:
    """Raises ``Problem`` for a token that is none of this list, or of other filters."""
    named = hashlib.sha256(repr((of, filters)).encode()).hexdigest()[:16]
    size = min(size or DEFAULT, MOST)
    if not token:
        return Asked(named, size, None)
    try:
        given, last = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, RecursionError):
        given, last = "", None
    if given != named or not _is_place(last):
        words = "give the nextPageToken of the page before, with the same filters; or none, for the first page"
        raise Problem(HTTPStatus.BAD_REQUEST, "bad-page-token", words)
    return Asked(named, size, last)


def _is_place(last: object) -> bool:
    """As we wrote it; who makes one up gets no further than to another page."""
    if isinstance(last, str):
        return "\0" not in last and not _SURROGATE.search(last)
    return type(last) is int and 0 < last < _MOST_ROWID  # not a bool, which is an int for Python alone


def page(  # noqa: PLR0913 - what a page is made of
    member: str,
    rows: Sequence[T],
    wanted: Asked,
    last: Callable[[T], int | str],
    record: Callable[[T], Fields],
    *,
    sees: Callable[[T], bool] = lambda _: True,
) -> Fields:
    """``rows`` are up to one more than were asked for. What a holder does not see is left out: a page may be short."""
    shown = rows[: wanted.size]
    more = len(rows) > wanted.size
    token = base64.urlsafe_b64encode(json.dumps([wanted.of, last(shown[-1])]).encode()).decode() if more else ""
    return {member: [record(row) for row in shown if sees(row)], "nextPageToken": token}
