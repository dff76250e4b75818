"""``coachsync jobs``: list and show jobs, have failed ones tried again, cancel pending ones."""

from contextlib import closing
from dataclasses import replace
from typing import Annotated

import typer

from schemas.ids import format_job_id, parse_job_id
from schemas.jobs import JobState
from worker.cli.filters import (
    BatchId,
    ErrorCode,
    InLane,
    RemoteName,
    ResourceName,
    checked,
    checked_if_given,
    selection,
)
from worker.cli.options import DryRun, Json, Limit, open_runtime
from worker.cli.output import Output
from worker.cli.steer import CANCEL, RETRY, meant, steer, subject_of
from worker.store.listing import attempts_of, find_job
from worker.store.listing import list_jobs as page_of_jobs
from worker.telling.records import attempt_record, job_record
from worker.telling.words import reason_words

app = typer.Typer(help="Jobs: list and show them, retry failed ones, cancel pending ones.", no_args_is_help=True)

COLUMNS = ("job", "state", "resource", "remote", "lane", "attempts", "dueAt", "finishedAt", "why")
ATTEMPT_COLUMNS = (
    "number",
    "startedAt",
    "operation",
    "status",
    "outcome",
    "latencyMs",
    "worker",
    "requestId",
    "message",
)
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Like 17-203: row 203 of batch 17.")]
JobIds = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Like 17-203, any number of them.")]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="jobs")


@app.command("list")
def list_jobs(
    state: Annotated[JobState | None, typer.Option("--state", help="In this state.")] = None,
    error: ErrorCode = None,
    batch: BatchId = None,
    resource: ResourceName = None,
    remote: RemoteName = None,
    lane: InLane = None,
    limit: Limit = 100,
    after: Annotated[str | None, typer.Option("--after", help="Go on after this job.", metavar="JOB")] = None,
    as_json: Json = False,
) -> None:
    """List jobs, newest first. All that is given must hold.

    Example: coachsync jobs list --state failed --error not_found --batch 17
    """
    output = Output(as_json)
    if error and state not in (None, JobState.FAILED):
        output.fail(f"--error: only failed jobs have an error code; leave --state {state} out")
    chosen = selection(output, error=error, batch=batch, resource=resource, remote=remote, lane=lane)
    chosen = replace(chosen, state=JobState.FAILED if error else state)
    before = checked_if_given("--after", parse_job_id, after, output)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = page_of_jobs(session, chosen, limit, before)
    rows = [job_record(job) | {"why": reason_words(job)} for job in found]
    output.table(COLUMNS, rows, empty="no such jobs")
    if len(found) == limit:
        output.note(f"the newest {limit:,}; for more: --after {format_job_id(found[-1].id)}")


@app.command()
def show(job: JobId, as_json: Json = False) -> None:
    """Show one job, field by field, with its attempts. `coachsync explain JOB` tells its story.

    Example: coachsync jobs show 17-203
    """
    output = Output(as_json)
    wanted = checked("JOB", parse_job_id, job, output)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = find_job(session, wanted)
        attempts = attempts_of(session, found.id) if found else []
    if not found:
        output.fail(
            f"JOB: there is no job {job}; it may have been pruned, or its row was rejected (coachsync batches show)"
        )
    tried = [attempt_record(attempt) for attempt in attempts]
    record = job_record(found) | {"why": reason_words(found)}
    if as_json:
        output.json(record | {"attemptsMade": tried})
        return
    output.record(record | {"wish": found.wish})
    output.say("")
    output.table(ATTEMPT_COLUMNS, tried, empty="no attempt yet")


@app.command()
def retry(
    jobs: JobIds = None,
    error: ErrorCode = None,
    batch: BatchId = None,
    resource: ResourceName = None,
    remote: RemoteName = None,
    lane: InLane = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give failed jobs a fresh try, now. A job whose resource has a newer wish since stays as it is.

    Exit code 1: some of them could not be retried; which and why is printed.

    Example: coachsync jobs retry --batch 17 --error permission_denied --dry-run
    """
    output = Output(as_json)
    chosen = selection(output, error=error, batch=batch, resource=resource, remote=remote, lane=lane)
    with closing(open_runtime(output)) as runtime:
        ids = meant(RETRY, jobs, chosen, runtime.database, output)
        code = steer(RETRY, ids, subject_of(jobs, chosen), runtime.database, output, dry_run=dry_run)
        if not dry_run:
            runtime.dispatcher.nudge()
    raise typer.Exit(code)


@app.command()
def cancel(
    jobs: JobIds = None,
    batch: BatchId = None,
    resource: ResourceName = None,
    remote: RemoteName = None,
    lane: InLane = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Cancel pending jobs: they end unsent. What a worker holds already cannot be cancelled.

    Exit code 1: some of them could not be cancelled; which and why is printed.

    Example: coachsync jobs cancel --batch 17
    """
    output = Output(as_json)
    chosen = selection(output, error=None, batch=batch, resource=resource, remote=remote, lane=lane)
    with closing(open_runtime(output)) as runtime:
        ids = meant(CANCEL, jobs, chosen, runtime.database, output)
        code = steer(CANCEL, ids, subject_of(jobs, chosen), runtime.database, output, dry_run=dry_run)
    raise typer.Exit(code)
