"""The JSON Schema of the roster's events, written from the models themselves: `make docs`."""

import json
import sys
from pathlib import Path
from typing import Any

from schemas.roster import ROSTER_EVENT

_HEAD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "An event of the roster",
    "description": "CloudEvents 1.0, JSON format. What the words mean: roster-events.md.",
}


def event_schema() -> str:
    """The whole document, as JSON."""
    return json.dumps(_HEAD | _untitled(ROSTER_EVENT.json_schema()), indent=2) + "\n"


def _untitled(value: Any) -> Any:
    """Each field would have its own name again as a title."""
    if isinstance(value, dict):
        return {key: _untitled(one) for key, one in value.items() if key != "title"}
    return [_untitled(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(event_schema(), encoding="utf-8")
