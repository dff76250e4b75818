"""``coachsync quotas``: have a template's total agent quota recalculated, list the answers and their history."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from schemas.jobs import JobKind, QuotaRecalculation
from schemas.lanes import Lane
from schemas.names import customer_of
from worker.cli.apply import Asked, Watching, apply_file, conclude, new_batch
from worker.cli.dry_run import check_file
from worker.cli.options import DryRun, Json, Key, Label, Timeout, Wait, open_runtime
from worker.cli.output import ExitCode, Output
from worker.cli.quotas_read import list_quotas, quota_history
from worker.configuration.remotes import NoRemote
from worker.intake.accept import Offered, Receipt, accept
from worker.intake.row_errors import errors_of
from worker.runtime import Runtime
from worker.store.batches import NewBatch

app = typer.Typer(help="Quotas: recalculate, list, and their history.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    app.command("list")(list_quotas)
    app.command("history")(quota_history)
    root.add_typer(app, name="quotas")


@app.command()
def recalculate(
    file: Annotated[
        str | None, typer.Argument(help="Many at once: CSV, TSV or JSONL with the API's field names.", metavar="[FILE]")
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="Scorecard template with its @revision.", metavar="NAME")
    ] = None,
    usecase: Annotated[str | None, typer.Option("--usecase", help="Usecase to count in.", metavar="NAME")] = None,
    period_start: Annotated[str | None, typer.Option("--period-start", help="RFC 3339 time.", metavar="T")] = None,
    period_end: Annotated[str | None, typer.Option("--period-end", help="RFC 3339 time.", metavar="T")] = None,
    override: Annotated[
        str | None, typer.Option("--override", help="A what-if config as JSON, or @FILE.", metavar="JSON|@FILE")
    ] = None,
    dry_run: DryRun = False,
    label: Label = None,
    lane: Annotated[Lane, typer.Option("--lane", help="interactive goes ahead of bulk.")] = Lane.INTERACTIVE,
    key: Key = None,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Ask the remote for the total agent quota of one template, or of each row in FILE.

    Example: coachsync quotas recalculate --wait
    --template customers/acme/profiles/support/scorecardTemplates/quality@3
    --usecase customers/acme/profiles/support/usecases/calls
    """
    output = Output(as_json)
    given = {"--template": template, "--usecase": usecase, "--period-start": period_start, "--period-end": period_end}
    if file and (stray := [name for name, value in {**given, "--override": override}.items() if value]):
        output.fail(f"{', '.join(stray)}: a FILE says this row by row; give either one")
    if not file and (missing := [name for name in ("--template", "--usecase") if not given[name]]):
        output.fail(f"{' and '.join(missing)}: required, unless a FILE of recalculations is given")
    new = new_batch(f"file:{file}" if file else "command", lane, label, key, output)
    asked = Asked(file or "", JobKind.QUOTA_RECALCULATION, new, dry_run=dry_run)
    wish = None if file else _wish(given, override, output)
    if wish and dry_run:
        raise typer.Exit(_would_ask(wish, output))
    with closing(open_runtime(output)) as runtime:
        if dry_run:
            raise typer.Exit(check_file(asked, runtime, output))
        receipt = apply_file(asked, runtime, output) if wish is None else _accept_one(wish, new, runtime, output)
        raise typer.Exit(conclude(receipt, asked, runtime, output, Watching(wait, timeout)))


def _wish(given: Mapping[str, str | None], override: str | None, output: Output) -> QuotaRecalculation:
    period = {"startTime": given["--period-start"], "endTime": given["--period-end"]}
    fields: dict[str, Any] = {
        "scorecardTemplateName": given["--template"],
        "usecaseName": given["--usecase"],
        "evaluationPeriod": {name: at for name, at in period.items() if at} or None,
        "overrideTaskCompleteConfig": _override(override, output),
    }
    try:
        return QuotaRecalculation.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as refusal:
        first = errors_of(refusal, fields)[0]
        output.fail(f"{_OPTIONS.get(first.field.split('.')[0], first.field)}: {first.field}: {first.reason}")


def _override(text: str | None, output: Output) -> Any:
    """JSON from the command line, or from a file after @."""
    if text is None:
        return None
    try:
        content = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        return json.loads(content)
    except json.JSONDecodeError as error:
        output.fail(f"--override: no JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    except OSError as error:
        output.fail(f"--override: {text[:80]} cannot be read: {error.strerror}")
    except (RecursionError, ValueError) as error:
        output.fail(f"--override: {text[:80]} cannot be read: {error}")


_OPTIONS = {
    "scorecardTemplateName": "--template",
    "usecaseName": "--usecase",
    "evaluationPeriod": "--period-start, --period-end",
    "overrideTaskCompleteConfig": "--override",
}


def _would_ask(wish: QuotaRecalculation, output: Output) -> ExitCode:
    body = wish.body() if output.as_json else json.dumps(wish.body(), ensure_ascii=False)
    output.record({"method": "POST", "resource": wish.resource, "body": body})
    return ExitCode.DONE


def _accept_one(wish: QuotaRecalculation, new: NewBatch, runtime: Runtime, output: Output) -> Receipt:
    remote = runtime.settings.remote_for(customer_of(wish.scorecard_template_name))
    if isinstance(remote, NoRemote):
        output.fail(f"--template: {remote.message}")
    runtime.pin_remotes()
    return accept(runtime.database, [Offered(1, 1, wish)], new, runtime.settings.remote_for)
