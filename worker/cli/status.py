"""``coachsync status``: is all well, and if not, what stands in the way."""

from contextlib import closing

import typer

from worker.cli.options import Json, open_runtime
from worker.cli.output import Output
from worker.cli.status_report import show_status
from worker.core.verdict import judge
from worker.fleet import look
from worker.telling.status import read_stored, situation_of, status_record


def register(root: typer.Typer) -> None:
    root.command()(status)


def status(as_json: Json = False) -> None:
    """Say in one line whether all is well; then the depth of each lane, the remotes' limits, batches and processes.

    Works while the broker is away. Exit code 1: the database cannot be read.

    Example: coachsync status
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        remotes = runtime.settings.all_remotes
        with runtime.database.read() as session:
            stored = read_stored(session, remotes)
        fleet = look(runtime)
    situation = situation_of(stored, fleet, remotes)
    report = status_record(judge(situation), stored, fleet, remotes) | {"strangers": situation.strangers}
    if as_json:
        output.json(report)
    else:
        show_status(report, output)
