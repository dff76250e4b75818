"""``coachsync targets``: apply a file of target updates, list and show what is known."""

from contextlib import closing
from typing import Annotated

import typer

from schemas.jobs import JobKind
from schemas.lanes import Lane
from worker.cli.apply import Asked, Watching, apply_file, conclude, new_batch
from worker.cli.dry_run import check_file
from worker.cli.options import Approve, DryRun, File, Json, Key, Label, Timeout, Wait, open_runtime
from worker.cli.output import ExitCode, Output
from worker.cli.plan import ErrorsAreOne, plan
from worker.cli.plan_apply import apply_plan, check_plan, tell_nothing_to_do
from worker.cli.targets_read import list_targets, show_target
from worker.intake.plan_files import is_plan
from worker.intake.source import FileSource

app = typer.Typer(help="Targets: apply a file of updates, list and show what is known.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    app.command("list")(list_targets)
    app.command("show")(show_target)
    app.command("plan", cls=ErrorsAreOne)(plan)
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
    """Accept the target updates in FILE, or what a plan holds; workers send them under the rate limit.

    Columns are the API's field names, camelCase or snake_case: name, scorecardTemplateName, usecaseName, target; and
    where they apply criterionOrChapterId, coachingPlanName, qaScore, asOf, requestKey, priority. A wrong row goes to
    FILE.rejected.csv with its reason, the others go on. A file that changes more of the known targets than the guard
    allows is not begun: exit code 3. Of a plan (`coachsync targets plan -o`) a row is refused whose target is no longer
    as the plan saw it.

    Example: coachsync targets apply targets.csv --wait
    """
    output = Output(as_json)
    new = new_batch(f"file:{file}", lane, label, key, output)
    asked = Asked(file, JobKind.TARGET_UPDATE, new, strict, force, approve, dry_run)
    watching = Watching(wait, timeout)
    if isinstance(asked.source, FileSource) and is_plan(asked.source):
        raise typer.Exit(_apply_plan(asked, asked.source, watching, output))
    with closing(open_runtime(output)) as runtime:
        if dry_run:
            raise typer.Exit(check_file(asked, runtime, output))
        receipt = apply_file(asked, runtime, output)
        raise typer.Exit(conclude(receipt, asked, runtime, output, watching))


def _apply_plan(asked: Asked, source: FileSource, watching: Watching, output: Output) -> ExitCode:
    with closing(open_runtime(output)) as runtime:
        if asked.dry_run:
            return check_plan(asked, source, runtime, output)
        receipt = apply_plan(asked, source, runtime, output)
        if receipt is None:
            return tell_nothing_to_do(asked, output)
        return conclude(receipt, asked, runtime, output, watching)
