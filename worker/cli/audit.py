"""``coachsync audit``: what persons have done, when, on what, and what came of it."""

from contextlib import closing
from typing import Annotated

import typer

from worker.cli.options import Json, Limit, open_runtime
from worker.cli.output import Output
from worker.store import audit
from worker.store.audit import AuditAction, AuditFilter
from worker.telling.records import audit_record

app = typer.Typer(help="The audit trail: what persons have done.", no_args_is_help=True)

COLUMNS = ("number", "at", "who", "door", "action", "subject", "outcome", "result")


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="audit")


@app.command("list")
def list_audit(
    who: Annotated[str | None, typer.Option("--who", help="By this person.", metavar="NAME")] = None,
    action: Annotated[
        AuditAction | None,
        typer.Option("--action", help=f"Of this kind: {', '.join(AuditAction)}.", metavar="ACTION"),
    ] = None,
    limit: Limit = 100,
    after: Annotated[int | None, typer.Option("--after", min=1, help="Go on after this line.", metavar="N")] = None,
    as_json: Json = False,
) -> None:
    """List what was done, newest first: who, when, by which door, what, on what, and what came of it.

    All actions of the console and its sign-ins, and each command that steers: jobs, remotes, approvals (--approve too),
    webhooks, tokens, persons that are forgotten. What was handed in is in the batches and the roster's events.

    Example: coachsync audit list --who ann --action cancel-batch --json
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = audit.list_all(session, AuditFilter(who, action), limit, after)
    output.table(COLUMNS, map(audit_record, found), empty="nothing was done yet")
    if len(found) == limit:
        output.note(f"the newest {limit:,}; for more: --after {found[-1].id}")
