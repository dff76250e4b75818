"""Single values as people read them, in a terminal's table and on a page alike."""

import re
from datetime import UTC, datetime
from typing import Any

from schemas.instants import format_instant


def heading(name: str) -> str:
    """``knownAt`` and ``known_at`` are ``known at`` to people, ``ofALongerWord`` is ``of a longer word``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).replace("_", " ").lower()


def printable(text: str) -> str:
    """Text that somebody else wrote, with nothing in it that a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        case float():
            return f"{value:.9g}"
        case int():
            return f"{value:,}"
        case _:
            return printable(str(value))


def plain(value: Any) -> str:
    """What JSON has no form of its own for: the ``default`` of ``json.dumps``."""
    return format_instant(value) if isinstance(value, datetime) else str(value)
