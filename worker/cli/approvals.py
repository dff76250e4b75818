"""``coachsync approvals``: what the guard has stopped, and a person's yes or no to it."""

from contextlib import closing
from typing import Annotated, Any

import typer
from sqlmodel import Session

from worker.cli.options import Json, Limit, open_runtime
from worker.cli.output import Output
from worker.cli.trail import leave
from worker.cli.user import user_name
from worker.intake.deciding import CannotDecide, decide_approval
from worker.store import approvals, roster
from worker.store.audit import AuditAction
from worker.store.oversight_models import Approval
from worker.telling.approval_records import approval_record
from worker.telling.cells import cell

app = typer.Typer(help="Approvals: what the guard has stopped, and a person's yes or no to it.", no_args_is_help=True)

COLUMNS = ("approval", "state", "door", "subject", "reason", "askedAt", "expiresAt", "decidedBy")
Number = Annotated[int, typer.Argument(metavar="APPROVAL", min=1, help="As `coachsync approvals list` has it.")]
By = Annotated[
    str | None, typer.Option("--by", help="Who decides; the user of this shell unless said.", metavar="NAME")
]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="approvals")


@app.command("list")
def list_approvals(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that wait for a decision.")] = False,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """List what the guard has stopped, newest first: the reason with its numbers, and what was decided.

    Example: coachsync approvals list --waiting
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = approvals.list_all(session, limit, waiting=waiting)
        records = [approval_record(session, one) for one in found]
    output.table(COLUMNS, records, empty="nothing waits for approval" if waiting else "the guard has stopped nothing")


@app.command("show")
def show_approval(number: Number, as_json: Json = False) -> None:
    """Show one: what was stopped, why, and what was decided.

    Example: coachsync approvals show 3
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        approval = _existing(session, number, output)
        record = approval_record(session, approval) | {"heldEvents": roster.count_held(session, number)}
    output.record(record)


@app.command()
def approve(number: Number, by: By = None, as_json: Json = False) -> None:
    """Say yes: what is held is taken at once, what is not held may come again until the approval expires.

    Example: coachsync approvals approve 3
    """
    _decide(number, by, Output(as_json), approved=True)


@app.command()
def reject(number: Number, by: By = None, as_json: Json = False) -> None:
    """Say no: what is held is refused and kept, and changes nothing.

    Example: coachsync approvals reject 3
    """
    _decide(number, by, Output(as_json), approved=False)


def _decide(number: int, by: str | None, output: Output, *, approved: bool) -> None:
    with closing(open_runtime(output)) as runtime, runtime.database.write() as session:
        try:
            events = decide_approval(session, number, approved=approved, by=by or user_name())
        except CannotDecide as error:
            output.fail(f"APPROVAL: {error} (coachsync approvals list)" if error.missing else str(error))
        record = approval_record(session, _existing(session, number, output)) | {"heldEvents": events}
        leave(
            session,
            AuditAction.APPROVE if approved else AuditAction.REJECT,
            f"approval {number}",
            _decided_words(record),
            by=by,
        )
    if output.as_json:
        output.json(record)
    else:
        output.say(_decided_words(record))


def _decided_words(record: dict[str, Any]) -> str:
    events = record["heldEvents"]
    held = f"The event{'s' if events > 1 else ''} held for it ({events:,})" if events else ""
    if record["state"] == approvals.REJECTED:
        return f"Rejected.{f' {held} will change nothing.' if held else ''}"
    if held:
        return f"Approved. {held} {'were' if events > 1 else 'was'} taken."
    if record["door"] == "policy":
        return "Approved. `coachsync loops` brings the policy into force."
    return f"Approved until {cell(record['expiresAt'])}: the same again goes through."


def _existing(session: Session, number: int, output: Output) -> Approval:
    found = approvals.find(session, number)
    return found or output.fail(f"APPROVAL: there is no approval {number} (coachsync approvals list)")
