"""``coachsync remotes pause`` and ``resume``: a person leaves a remote alone, or one lane of it."""

from contextlib import closing
from typing import Annotated, Any

import typer

from schemas.lanes import Lane
from worker.cli.options import Json, open_runtime
from worker.cli.output import Output
from worker.cli.trail import leave
from worker.cli.user import user_name
from worker.runtime import Runtime
from worker.store import halts, remotes
from worker.store.audit import AuditAction
from worker.store.console_models import Halt
from worker.store.engine import Database
from worker.telling.remote_records import halt_record, lane_words

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `coachsync remotes list` has it.")]
InLane = Annotated[Lane | None, typer.Option("--lane", help="This lane alone; every lane unless said.")]


def register(group: typer.Typer) -> None:
    group.command()(pause)
    group.command()(resume)


def pause(
    name: Name,
    lane: InLane = None,
    because: Annotated[str | None, typer.Option("--because", help="Why, for the others.", metavar="WORDS")] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Who pauses it; the user of this shell unless said.", metavar="NAME")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send nothing to a remote, or nothing of one lane, until you resume it. What is accepted waits.

    What is under way at this moment ends first, within seconds. `remotes release` does not end it.

    Example: coachsync remotes pause default --lane bulk --because "their release is on"
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        known_remote(name, runtime, output)
        who = by or user_name()
        with runtime.database.write() as session:
            new = halts.halt(session, name, lane, who, because)
            if new:
                leave(session, AuditAction.PAUSE_REMOTE, _subject(name, lane), because or "paused", by=who)
        _tell(output, runtime.database, name, changed=new)
    what = lane_words(lane or "every").capitalize()
    output.say(f"{what} of {name} is paused." if new else f"{what} of {name} was paused already; that stays as it is.")


def resume(name: Name, lane: InLane = None, as_json: Json = False) -> None:
    """Send again to a remote that a person has paused; without --lane that ends every pause of it.

    Example: coachsync remotes resume default
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        known_remote(name, runtime, output)
        with runtime.database.write() as session:
            ended = halts.resume(session, name, lane)
            if ended:
                leave(session, AuditAction.RESUME_REMOTE, _subject(name, lane), "resumed")
        runtime.dispatcher.nudge()
        _tell(output, runtime.database, name, changed=bool(ended))
    what = lane_words(lane or "every")
    output.say(f"{name} is sent to again." if ended else f"Nobody has paused {what} of {name}.")


def known_remote(name: str, runtime: Runtime, output: Output) -> None:
    named = [remote.name for remote in runtime.settings.all_remotes]
    if name in named:
        return
    with runtime.database.read() as session:
        known = [one.name for one in remotes.standings(session, named)]
    if name not in known:
        output.fail(f"NAME: there is no remote {name[:60]!r}; known are: {', '.join(known) or 'none'}")


def _subject(name: str, lane: Lane | None) -> str:
    return f"remote {name}" + (f" {lane}" if lane else "")


def _tell(output: Output, database: Database, name: str, *, changed: bool) -> None:
    if not output.as_json:
        return
    with database.read() as session:
        left: list[Halt] = [one for one in halts.list_all(session) if one.remote == name]
    record: dict[str, Any] = {"remote": name, "changed": changed, "halts": [halt_record(one) for one in left]}
    output.json(record)
