"""The home alone, for a probe that is asked every few seconds: all the settings take ten times as long to read."""

import os
from pathlib import Path


def home_given() -> Path | None:
    """Where it is given in full by its variable; else only the settings know it."""
    given = os.environ.get("COACHSYNC_HOME", "")  # noqa: TID251 - as in settings, and nothing else of it
    return Path(given) if given.startswith("/") else None
