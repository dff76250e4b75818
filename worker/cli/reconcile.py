"""``coachsync reconcile`` and ``coachsync drift``: what the remotes have against what is wanted, and what was found."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from threading import Event
from typing import Annotated, Any

import typer

from schemas.ids import format_job_id
from schemas.lanes import Lane
from schemas.names import customer_of
from worker.cli.apply import progress_of
from worker.cli.options import DryRun, Json, Limit, open_runtime
from worker.cli.output import ExitCode, Output
from worker.configuration.remotes import NoRemote, Remote
from worker.loops.reconciler import Reconciler, Trouble
from worker.oversight import reconciler_of
from worker.runtime import Runtime, WorkerRuntime
from worker.store import drifts, quarantine, reconciling
from worker.store.gate import look
from worker.store.oversight_models import Drift, Reconciliation
from worker.store.remote_urls import RemoteMoved
from worker.telling.words import quarantine_words

drift_app = typer.Typer(help="Drift: the differences that the reconciliation has found.", no_args_is_help=True)
LOOK_EVERY = 0.1  # seconds
MOST_FAILURES = 5  # of one profile's reads
PASS_COLUMNS = ("profile", "compared", "found", "resent", "adopted", "requests", "error")
DRIFT_COLUMNS = ("resource", "field", "kind", "wanted", "found", "action", "job", "foundAt", "closedAt")
FINDING_COLUMNS = ("resource", "field", "kind", "wanted", "found", "action")


def register(root: typer.Typer) -> None:
    root.command()(reconcile)
    root.add_typer(drift_app, name="drift")


def reconcile(
    scope: Annotated[
        str | None, typer.Option("--scope", metavar="NAME", help="Only profiles whose name begins so: customers/acme.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Compare what is wanted with what the remotes have, now, and see to the differences as coachsync.toml says.

    It keeps within its share of the rate limit. Ctrl-C stops the watching; the loops go on where it was. Exit codes: 0
    done; with --dry-run 2 where something differs; 1 a profile could not be read.

    Example: coachsync reconcile --scope customers/acme/profiles/support --dry-run
    """
    output = Output(as_json, failing=ExitCode.SOME_FAILED)
    with closing(open_runtime(output)) as runtime, closing(WorkerRuntime(runtime)) as sending:
        _refuse_moved(runtime, output, dry_run=dry_run)
        profiles = _profiles(runtime, scope, output)
        runtime.redis.ping()  # without the limiter nobody sends: say so at once
        reconciler = reconciler_of(sending)
        code = _look(profiles, reconciler, output) if dry_run else _pass(profiles, reconciler, output)
    raise typer.Exit(code)


@drift_app.command("list")
def list_drifts(
    still_open: Annotated[bool, typer.Option("--open", help="Only what still differs.")] = False,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """List the differences found between what is wanted and what the remotes have, newest first.

    Example: coachsync drift list --open
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        rows = [_drift_record(drift) for drift in drifts.list_drifts(session, limit, still_open=still_open)]
    output.table(DRIFT_COLUMNS, rows, empty="no difference was found")


def _refuse_moved(runtime: Runtime, output: Output, *, dry_run: bool) -> None:
    try:
        (runtime.check_remotes if dry_run else runtime.pin_remotes)()
    except RemoteMoved as moved:
        output.fail(str(moved))


def _profiles(runtime: Runtime, scope: str | None, output: Output) -> dict[str, Remote]:
    """Those to look at, each with the remote that serves it."""
    with runtime.database.read() as session:
        names = [name for name in reconciling.profiles_known(session) if _is_in(name, scope)]
        served = {name: runtime.settings.remote_for(customer_of(name)) for name in names}
        for remote in {one.name: one for one in served.values() if isinstance(one, Remote)}.values():
            if aside := quarantine.find(session, remote.name):
                output.fail(quarantine_words(remote.name, aside))
            if look(session, remote.name, Lane.BULK).paused:
                output.fail(f"the remote {remote.name} is left alone for now: coachsync remotes list")
    for remote_or_not in served.values():
        if isinstance(remote_or_not, NoRemote):
            output.fail(remote_or_not.message)
    if not names:
        where = f" in {scope[:200]}" if scope else ""
        expected = "expected customers/{customer}/profiles/{profile}"
        output.fail(f"--scope: nothing is known{where}, no target and no agent; {expected}", ExitCode.REFUSED)
    return {name: one for name, one in served.items() if isinstance(one, Remote)}


def _is_in(profile: str, scope: str | None) -> bool:
    return scope is None or profile == scope or profile.startswith(f"{scope.rstrip('/')}/")


def _pass(profiles: dict[str, Remote], reconciler: Reconciler, output: Output) -> ExitCode:
    """Drive one pass over each profile to its end."""
    runs = {profile: reconciler.begin(profile) for profile in profiles}
    failures = Counter[str]()
    with progress_of("comparing", output) as progress:
        task = progress.add_task("comparing", total=None)
        while unfinished := [run for run in _runs(reconciler, runs) if run.finished_at is None]:
            due = set(reconciler.due())
            stepped = [run.profile for run in unfinished if run.profile in due and reconciler.step(run.profile)]
            now = _runs(reconciler, runs)
            progress.update(task, completed=sum(run.compared for run in now))
            failures.update(run.profile for run in now if run.error and run.profile in stepped)
            for run in now:
                if failures[run.profile] >= MOST_FAILURES:
                    output.fail(f"{run.profile} cannot be read: {run.error}; the loops go on trying")
            if not stepped:
                Event().wait(LOOK_EVERY)
    ended = _runs(reconciler, runs)
    output.table(PASS_COLUMNS, map(_pass_record, ended), empty="nothing to compare")
    return ExitCode.SOME_FAILED if any(run.error for run in ended) else ExitCode.DONE


def _runs(reconciler: Reconciler, ids: dict[str, int]) -> list[Reconciliation]:
    with reconciler.database.read() as session:
        return [session.get_one(Reconciliation, run) for run in ids.values()]


def _look(profiles: dict[str, Remote], reconciler: Reconciler, output: Output) -> ExitCode:
    """Read everything, write nothing."""
    rows: list[dict[str, Any]] = []
    failed = False
    with progress_of("comparing", output) as progress:
        task = progress.add_task("comparing", total=None)
        for profile, remote in profiles.items():
            for page in reconciler.pages(profile, remote):
                if isinstance(page, Trouble):
                    failed = failed or bool(page.message)
                    _tell(page, profile, output)
                else:
                    progress.advance(task, len(page))
                    rows += _finding_records(reconciler, page)
    output.table(FINDING_COLUMNS, rows, empty="nothing differs")
    if failed:
        return ExitCode.SOME_FAILED
    return ExitCode.REFUSED if rows else ExitCode.DONE


def _tell(trouble: Trouble, profile: str, output: Output) -> None:
    if trouble.message:
        output.note(f"{profile} could not be read to its end: {trouble.message}")
    Event().wait(trouble.wait.total_seconds())


def _finding_records(reconciler: Reconciler, page: Any) -> Iterator[dict[str, Any]]:
    for name, findings in sorted(reconciler.findings_of(page).items()):
        for one in findings:
            yield {
                "resource": name,
                "field": one.field,
                "kind": str(one.kind),
                "wanted": one.wanted,
                "found": one.found,
                "action": str(one.action),
            }


def _pass_record(run: Reconciliation) -> dict[str, Any]:
    return {
        "profile": run.profile,
        "compared": run.compared,
        "found": run.found,
        "resent": run.resent,
        "adopted": run.adopted,
        "requests": run.requests,
        "reads": run.reads,
        "startedAt": run.started_at,
        "finishedAt": run.finished_at,
        "error": run.error,
    }


def _drift_record(drift: Drift) -> dict[str, Any]:
    return {
        "resource": drift.resource,
        "field": drift.field,
        "kind": drift.kind,
        "wanted": drift.wanted,
        "found": drift.found,
        "action": drift.action,
        "job": drift.job_id and format_job_id(drift.job_id),
        "pass": drift.reconciliation_id,
        "foundAt": drift.found_at,
        "closedAt": drift.closed_at,
    }
