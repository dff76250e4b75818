"""``coachsync db``: the schema of the database."""

from contextlib import closing
from typing import Annotated

import typer

from worker.cli.options import Json, open_runtime
from worker.cli.output import ExitCode, Output
from worker.store import schema

app = typer.Typer(help="The database's schema.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="db")


@app.command()
def upgrade(
    check: Annotated[bool, typer.Option("--check", help="Exit 1 if an upgrade is needed; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the schema to this program's version. Safe to run twice and while workers run.

    Example: coachsync db upgrade --check
    """
    output = Output(as_json)
    with closing(open_runtime(output, migrated=False)) as runtime:
        before = schema.version(runtime.database) if check else schema.upgrade(runtime.database)[0]
    current = check is False or before == schema.newest()
    if as_json:
        output.json({"before": before, "newest": schema.newest(), "current": current})
    elif not current:
        output.say(f"The schema is at {before or 'nothing'}, {schema.newest()} is needed: coachsync db upgrade")
    else:
        output.say(
            f"The schema is at {schema.newest()}"
            + ("." if before == schema.newest() else f" (was {before or 'empty'}).")
        )
    raise typer.Exit(ExitCode.DONE if current else ExitCode.SOME_FAILED)
