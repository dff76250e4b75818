"""``coachsync remotes``: how each is doing, an end to what keeps one from being sent to, and to what is known of it."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Annotated

import typer

from api_adapter.rate_limit.shared import LimiterAwayError
from worker.cli import pausing
from worker.cli.options import DryRun, Json, open_runtime
from worker.cli.output import ExitCode, Output
from worker.cli.pausing import Name, known_remote
from worker.cli.trail import leave
from worker.configuration.remotes import DEFAULT_REMOTE, Remote
from worker.core.durations import in_words
from worker.counts import counted
from worker.fleet import cooldown_left, forget_cooldown, look, why_away
from worker.runtime import Runtime
from worker.store import forgetting, remotes
from worker.store.audit import AuditAction
from worker.store.forgetting import Serves
from worker.store.remotes import Held
from worker.telling.cells import cell
from worker.telling.remote_records import SECOND, lane_words, pause_record, quarantine_record, remote_record, remote_row

app = typer.Typer(
    help="Remotes: how each is doing; pause one, end what keeps one from being sent to, forget one.",
    no_args_is_help=True,
)

COLUMNS = ("remote", "state", "since", "why", "probes", "nextProbe", "pauses", "waiting", "limits", "cooldown")


def register(root: typer.Typer) -> None:
    pausing.register(app)
    root.add_typer(app, name="remotes")


@app.command("list")
def list_remotes(as_json: Json = False) -> None:
    """List the remotes: ok, left alone or in quarantine, what waits for each, and how full its limits are.

    Works while the broker is away; the limits are not known then.

    Example: coachsync remotes list
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        named = _named(runtime)
        with runtime.database.read() as session:
            standings = remotes.standings(session, named)
        fleet = look(runtime, workers=False)
    records = [remote_record(one, named.get(one.name), fleet.usages.get(one.name)) for one in standings]
    if fleet.broker_error:
        output.note(f"the broker cannot be reached, so no limit is known: {fleet.broker_error}")
    if as_json:
        output.json(records)
    else:
        output.table(COLUMNS, map(remote_row, records), empty="no remote is configured: set COACHSYNC_API_URL")


@app.command()
def release(name: Name, dry_run: DryRun = False, as_json: Json = False) -> None:
    """End a remote's quarantine, its pauses and its cooldown, and make due what waits only for them.

    For a wait that the remote has asked for by mistake. The limits hold all the same, and a write in doubt still waits
    its time. Exit code 0 also where there was nothing to end; 1: the broker cannot be reached, and nothing was changed.

    Example: coachsync remotes release default --dry-run
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        remote = _checked(name, runtime, output)
        cooldown = _end_cooldown(runtime, remote, output, dry_run=dry_run) if remote else timedelta(0)
        if dry_run:
            with runtime.database.read() as session:
                found = remotes.held(session, name)
        else:
            with runtime.database.write() as session:
                found = remotes.release(session, name)
                if ended := [*_ended(found, cooldown)]:
                    leave(session, AuditAction.RELEASE_REMOTE, f"remote {name}", f"ended: {'; '.join(ended)}")
            runtime.dispatcher.nudge()
    _tell(name, found, cooldown, output, dry_run=dry_run)


@app.command()
def forget(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="You mean it: it cannot be undone.")] = False,
    as_json: Json = False,
) -> None:
    """Forget where a remote is and what is known of its targets and quotas, so that its URL may be another API's.

    Stop `coachsync up`, workers and loops first: they go on with the URL they were started with. Jobs and their
    stories stay. Exit code 2: jobs for it are open, or --yes is missing, and nothing was changed.

    Example: coachsync remotes forget default --yes
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        _checked(name, runtime, output)
        serves = _serves(name, runtime.settings.remotes)
        with (runtime.database.write if yes else runtime.database.read)() as session:
            found = (forgetting.forget if yes else forgetting.known_of)(session, name, serves)
            what = f"{counted(found.targets, 'target')} and {counted(found.quotas, 'quota')}"
            what += f" at {found.api_url}" if found.api_url else ""
            if yes and not found.open:
                leave(session, AuditAction.FORGET_REMOTE, f"remote {name}", what)
    if found.open:
        remedy = f"wait for their end, or `coachsync jobs cancel --remote {name}`"
        output.fail(f"open jobs of {name}: {found.open:,}; {remedy}; nothing was changed")
    if not yes:
        output.fail(f"--yes: all that is known of {name} would be forgotten: {what}; give --yes if that is meant")
    if as_json:
        output.json({"remote": name, "apiUrl": found.api_url, "targets": found.targets, "quotas": found.quotas})
    output.say(f"Forgotten is what was known of {name}: {what}.")


def _serves(name: str, tables: Sequence[Remote]) -> Serves:
    """Of one that the settings do not name nobody knows whose targets are its."""
    if name == DEFAULT_REMOTE:
        return Serves(tuple(customer for remote in tables for customer in remote.customers), but=True)
    return Serves(next((remote.customers for remote in tables if remote.name == name), ()))


def _named(runtime: Runtime) -> dict[str, Remote]:
    return {remote.name: remote for remote in runtime.settings.all_remotes}


def _checked(name: str, runtime: Runtime, output: Output) -> Remote | None:
    """None for one that only the store knows: the settings have named it once."""
    known_remote(name, runtime, output)
    return _named(runtime).get(name)


def _end_cooldown(runtime: Runtime, remote: Remote, output: Output, *, dry_run: bool) -> timedelta:
    """Before all else: who is let go while it lasts is sent away again."""
    try:
        return (cooldown_left if dry_run else forget_cooldown)(runtime, remote)
    except LimiterAwayError as error:
        output.fail(f"the broker cannot be reached: {why_away(error)}; nothing was changed", ExitCode.SOME_FAILED)


def _tell(name: str, found: Held, cooldown: timedelta, output: Output, *, dry_run: bool) -> None:
    if output.as_json:
        output.json(
            {
                "remote": name,
                "quarantine": found.quarantine and quarantine_record(found.quarantine),
                "pauses": [pause_record(pause, found.now) for pause in found.pauses],
                "cooldownSeconds": cooldown / SECOND,
                "jobsMadeDue": found.jobs,
                "dryRun": dry_run,
            }
        )
        return
    ended = [*_ended(found, cooldown)]
    if not ended:
        output.say(f"There is nothing to end for {name}: it is not in quarantine, and nobody leaves it alone.")
        return
    output.say(f"{'Would end' if dry_run else 'Ended'} for {name}:")
    for one in ended:
        output.say(f"  {one}")
    if dry_run:
        output.say("Nothing was changed.")


def _ended(found: Held, cooldown: timedelta) -> Iterator[str]:
    if aside := found.quarantine:
        yield f"the quarantine since {cell(aside.since)} ({aside.reason})"
    for pause in found.pauses:
        yield f"the pause of {lane_words(pause.lane)}, {in_words(pause.until - found.now)} before its time"
    if cooldown:
        yield f"the limiter's cooldown, {in_words(cooldown)} before its time"
    if found.jobs:
        yield f"the wait of {counted(found.jobs, 'job')} for the time that it had named"
