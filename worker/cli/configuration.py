"""``coachsync config``: what is in force, and where each value came from."""

import typer

from worker.cli.options import Json
from worker.cli.output import Output
from worker.configuration import settings
from worker.configuration.report import describe


def register(root: typer.Typer) -> None:
    root.command("config")(show)


def show(as_json: Json = False) -> None:
    """Print the settings in force, each with its origin; secrets are masked.

    Example: COACHSYNC_RATE_LIMIT="20/second, 300/minute" coachsync config
    """
    rows = [
        {"name": row.name, "value": row.value, "origin": str(row.origin)}
        for row in describe(settings.from_environment())
    ]
    Output(as_json).table(("name", "value", "origin"), rows, empty="no settings")
