"""``coachsync roster``: bring a roster or its events in from a file, list and show who is coached."""

import hashlib
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from schemas.instants import format_instant, parse_instant
from schemas.names import PROFILE
from schemas.roster import RosterEventType, SnapshotEvent
from worker.cli.filters import checked_if_given
from worker.cli.options import Approve, DryRun, File, Json, open_runtime
from worker.cli.output import ExitCode, Output
from worker.cli.roster_read import list_agents, list_aside, show_agent
from worker.cli.trail import unguarded
from worker.configuration.oversight import GuardOptions
from worker.configuration.settings import Settings
from worker.counts import counted
from worker.intake.event_files import EventFile, read_events
from worker.intake.readers import BadRow
from worker.intake.rejected_file import RejectedFile, rejected_path
from worker.intake.roster_events import EventReceipt, EventsRefused, Foreseen, Submission, accept_events, foresee
from worker.intake.roster_files import RosterFile, RosterForm, read_roster
from worker.intake.source import Source, source_for
from worker.runtime import Runtime
from worker.store.engine import database_now
from worker.telling.cells import cell
from worker.telling.roster_records import change_words, foreseen_record, receipt_record, receipt_words

app = typer.Typer(help="The roster: bring it in from a file, list and show who is coached.", no_args_is_help=True)
_SHOWN_ERRORS = 10
_SHOWN_CHANGES = 50
_CUT = 1e-9  # no share at all: of a file that may be cut off only so many may change as the floor allows
EventsJson = Annotated[
    str, typer.Argument(help="CloudEvents, one a line, also .gz; - is the standard input.", metavar="FILE")
]


def register(root: typer.Typer) -> None:
    app.command("list")(list_agents)
    app.command("show")(show_agent)
    app.command("set-aside")(list_aside)
    root.add_typer(app, name="roster")


@dataclass(frozen=True, slots=True)
class Offer:
    """``what`` are the first words of the sentence that tells what came of it."""

    submission: Submission
    guard: GuardOptions
    what: str


@app.command("import")
def import_roster(
    file: File,
    profile: Annotated[
        str | None,
        typer.Option("--profile", help="Whose agents these are; a row of another is an error.", metavar="NAME"),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="When the roster was so; now, unless said.", metavar="TIME")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Who says so; as the settings have it, unless said.", metavar="NAME")
    ] = None,
    dry_run: DryRun = False,
    approve: Approve = False,
    as_json: Json = False,
) -> None:
    """Take FILE as the whole roster: who is new in it has joined, who is not in it has left.

    Columns: agent, profile, groups, usecases, coachingPlanName, joinedAt, or as [roster.columns] of coachsync.toml has
    them; others are passed over. Groups and usecases are separated by semicolons. With one wrong row nothing is taken,
    and FILE.rejected.csv has the reasons. Where more leave or change than the guard allows nothing is written: exit
    code 3. --dry-run shows who would have joined, left, moved and changed.

    Example: coachsync roster import roster.csv --as-of 2026-01-31T02:00:00Z --dry-run
    """
    output = Output(as_json)
    checked_if_given("--profile", PROFILE.check, profile, output)
    given, at = source_for(file, sys.stdin.buffer), checked_if_given("--as-of", _instant, as_of, output)
    with closing(open_runtime(output)) as runtime:
        settings = runtime.settings
        form = RosterForm(settings.roster.columns, profile or settings.roster.profile, only=profile is not None)
        found = read_roster(given, form)
        _refuse(found.bad, found.rows, given, output, keep=not dry_run)
        events = _snapshots(found, at or _now(runtime), settings.roster.source if source is None else source, output)
        submission = Submission(events, "import", _subject(found, given), approve, digest=_digest(found, form))
        what = f"{counted(found.rows, 'agent')} as of {cell(events[0].time)}"
        offer = Offer(submission, _limits(found, settings), what)
        try:
            raise typer.Exit(_conclude(offer, runtime, output, dry_run=dry_run))
        except EventsRefused as refused:
            output.fail(f"--as-of: {refused.errors[0].reason}")


@app.command()
def events(file: EventsJson, dry_run: DryRun = False, approve: Approve = False, as_json: Json = False) -> None:
    """Take the roster's events in FILE: all of them, each once, or none.

    With one wrong line nothing is taken, and FILE.rejected.csv has the reasons. What changes more than the guard allows
    is not taken: exit code 3, nothing written.

    Example: coachsync roster events events.jsonl --dry-run
    """
    output = Output(as_json)
    given = source_for(file, sys.stdin.buffer)
    with closing(open_runtime(output)) as runtime:
        found = read_events(given)
        _refuse(found.bad, found.rows, given, output, keep=not dry_run)
        submission = Submission(
            found.events, "file", f"{counted(found.rows, 'event')} of the file {given.name}", approve
        )
        offer = Offer(submission, runtime.settings.guard, counted(found.rows, "event"))
        raise typer.Exit(_conclude_events(offer, found, given, runtime, output, dry_run=dry_run))


def _conclude_events(
    offer: Offer, found: EventFile, given: Source, runtime: Runtime, output: Output, *, dry_run: bool
) -> ExitCode:
    try:
        return _conclude(offer, runtime, output, dry_run=dry_run)
    except EventsRefused as refused:
        _refuse(found.refused_rows(refused), found.rows, given, output, keep=not dry_run)
        raise


def _conclude(offer: Offer, runtime: Runtime, output: Output, *, dry_run: bool) -> ExitCode:
    if dry_run:
        return _show_foreseen(offer, foresee(runtime.database, offer.submission, offer.guard), output)
    with unguarded(runtime.database, offer.submission.subject, acts=offer.submission.approve) as tell:
        receipt = accept_events(runtime.database, offer.submission, offer.guard)
        tell(receipt_words(receipt))
    _show_receipt(offer, receipt, output)
    return ExitCode.DONE


def _show_receipt(offer: Offer, receipt: EventReceipt, output: Output) -> None:
    if output.as_json:
        output.json(receipt_record(receipt))
        return
    output.say(f"{offer.what}: {receipt_words(receipt)}.")
    if not receipt.accepted:
        output.say("It was all told before: nothing new was written.")


def _show_foreseen(offer: Offer, foreseen: Foreseen, output: Output) -> ExitCode:
    if output.as_json:
        output.json(foreseen_record(foreseen))
    changes = [one for one in foreseen.told if one.before != one.after]
    for one in changes[:_SHOWN_CHANGES]:
        output.say(change_words(one))
    if len(changes) > _SHOWN_CHANGES:
        output.say(f"and {len(changes) - _SHOWN_CHANGES:,} more (--json has all)")
    output.say(f"{offer.what}: {receipt_words(foreseen.receipt)}. Nothing was written.")
    if foreseen.reason:
        output.note(f"the guard would stop it: {foreseen.reason}")
    return ExitCode.GUARDED if foreseen.reason else ExitCode.DONE


def _refuse(bad: Sequence[BadRow], rows: int, given: Source, output: Output, *, keep: bool) -> None:
    """End the command if a row is wrong; ``keep``: all that is wrong goes to ``FILE.rejected.csv``."""
    if not bad:
        return
    for one in islice(bad, _SHOWN_ERRORS):
        for error in one.errors:
            output.note(f"line {one.line}: {error.field or 'row'}: {error.reason}")
    if len(bad) > _SHOWN_ERRORS:
        output.note(f"and {len(bad) - _SHOWN_ERRORS:,} more")
    where = ""
    if keep:
        with RejectedFile(rejected_path(given, Path.cwd())) as rejected:
            for one in bad:
                rejected.write(one)
        where = f"; the reasons: {rejected.path}"
    wrong = f"{len(bad):,} of {counted(rows, 'row is', 'rows are')} wrong"
    output.fail(f"{given.name}: {wrong}, so nothing was written{where}")


def _snapshots(found: RosterFile, at: datetime, source: str, output: Output) -> list[SnapshotEvent]:
    try:
        return [
            SnapshotEvent(
                specversion="1.0",
                id=f"{format_instant(at)} {_sha256(found.digest, one.profile)[:32]}",
                source=source,
                time=at,
                type=RosterEventType.SNAPSHOT,
                data=one,
            )
            for one in found.rosters
        ]
    except ValidationError:
        output.fail(f"--source: {source[:80]!r} must be 1 to 500 characters, without spaces")


def _limits(found: RosterFile, settings: Settings) -> GuardOptions:
    return settings.guard if found.ends_whole else settings.guard.model_copy(update={"share": _CUT})


def _subject(found: RosterFile, given: Source) -> str:
    cut = "" if found.ends_whole else ", whose last line has no line end, as if it were cut off"
    return f"the roster file {given.name}{cut}"


def _digest(found: RosterFile, form: RosterForm) -> str:
    """The same file for another profile, or with its columns read otherwise, is another roster."""
    return _sha256(found.digest, form.profile or "", form.columns.model_dump_json())


def _sha256(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _now(runtime: Runtime) -> datetime:
    with runtime.database.read() as session:
        return database_now(session)


def _instant(text: str) -> datetime:
    at = parse_instant(text)
    assert isinstance(at, datetime)  # noqa: S101 - text in, an instant out
    return at
