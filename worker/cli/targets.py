"""``coachsync targets``: apply a file of target updates, list and show what is known."""

from contextlib import closing
from typing import Annotated

import typer

from schemas.jobs import JobKind
from schemas.lanes import Lane
from worker.cli.apply import Asked, Watching, apply_file, check_file, conclude, new_batch
from worker.cli.options import Approve, DryRun, File, Json, Key, Label, Timeout, Wait, open_runtime
from worker.cli.output import Output
from worker.cli.targets_read import list_targets, show_target

app = typer.Typer(help="Targets: apply a file of updates, list and show what is known.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    app.command("list")(list_targets)
    app.command("show")(show_target)
    root.add_typer(app, name="targets")


@app.command()
def apply(
    file: File,
    dry_run: DryRun = False,
    strict: Annotated[bool, typer.Option("--strict", help="One row wrong in itself refuses the whole file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Send also what the remote is known to have.")] = False,
    approve: Approve = False,
    label: Label = None,
    lane: Annotated[Lane, typer.Option("--lane", help="interactive goes ahead of bulk.")] = Lane.BULK,
    key: Key = None,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Accept the target updates in FILE; workers send them under the rate limit.

    Columns are the API's field names, camelCase or snake_case: name, scorecardTemplateName, usecaseName, target; and
    where they apply criterionOrChapterId, coachingPlanName, qaScore, asOf, requestKey, priority. A wrong row goes to
    FILE.rejected.csv with its reason, the others go on. A file that changes more of the known targets than the guard
    allows is not begun: exit code 3.

    Example: coachsync targets apply targets.csv --wait
    """
    output = Output(as_json)
    asked = Asked(
        file, JobKind.TARGET_UPDATE, new_batch(f"file:{file}", lane, label, key, output), strict, force, approve
    )
    if dry_run:
        raise typer.Exit(check_file(asked, output))
    with closing(open_runtime(output)) as runtime:
        receipt = apply_file(asked, runtime, output)
        raise typer.Exit(conclude(receipt, asked, runtime, output, Watching(wait, timeout)))
