"""Pages as HTML: Jinja templates, everything escaped, and the few words that they share."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from schemas.instants import format_instant
from worker.core.durations import in_words
from worker.telling.cells import cell, heading

HERE = Path(__file__).parent
STATIC = HERE / "static"
DASH = "\u2013"
_SAFE = "/@;=,~"  # of a name in a path
# What each state looks like: the label beside the colour says the same.
TONES: Mapping[str, str] = {
    **dict.fromkeys(("succeeded", "delivered", "enabled", "ok", "done", "approved", "completed", "answered"), "good"),
    **dict.fromkeys(("failed", "dead", "disabled", "in quarantine", "refused", "rejected"), "bad"),
    **dict.fromkeys(("waiting", "paused", "left alone", "held", "begun", "uncertain", "open"), "warn"),
    **dict.fromkeys(("running", "pending"), "busy"),
}


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "cell": cell,
        "heading": heading,
        "when": when,
        "lasting": lasting,
        "short": short,
        "breakable": breakable,
    }
    made.globals |= {"tone": tone, "static_version": static_version(), "place": place}
    return made


def render(template: str, facts: Mapping[str, Any]) -> str:
    return environment().get_template(template).render(facts)


def place(base: str, path: str, **query: object) -> str:
    """An address within the console; what is None stays out of its query."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return base + quote(path, safe=_SAFE) + (f"?{urlencode(given)}" if given else "")


def when(value: datetime | None) -> str:
    """An instant as people and programs read it."""
    if value is None:
        return DASH
    return Markup('<time datetime="{}">{}</time>').format(format_instant(value), cell(value))


def lasting(seconds: float | timedelta | None) -> str:
    if seconds is None:
        return DASH
    return in_words(seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds))


def short(name: str | None) -> str:
    """The last part of a long name; the whole one belongs beside it."""
    return (name or "").rpartition("/")[2] or DASH


def breakable(name: str) -> str:
    """A long name that may go on in the next line after each of its parts."""
    return Markup("/<wbr>").join(name.split("/"))


def tone(state: str) -> str:
    return TONES.get(state, "plain")


@cache
def static_version() -> str:
    """Changes with each of the files, so that browsers may keep them."""
    content = b"".join(path.read_bytes() for path in sorted(STATIC.iterdir()))
    return hashlib.sha256(content).hexdigest()[:12]
