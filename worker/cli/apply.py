"""From a file to accepted jobs: what ``targets apply`` and ``quotas recalculate`` share."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

from schemas.ids import ROW_BITS
from schemas.jobs import JobKind
from schemas.lanes import Lane
from worker.cli.database_words import database_words
from worker.cli.output import ExitCode, Output
from worker.cli.trail import unguarded
from worker.cli.watch import watch_batch
from worker.clock import utc_now
from worker.configuration.settings import Settings
from worker.core.acceptance import Fate
from worker.counts import counted
from worker.intake.accept import Offered, Receipt, RowFate, Unreadable, accept
from worker.intake.door_checks import at_the_door, refused
from worker.intake.readers import GoodRow, Row, Tally, first_pass, read_wishes
from worker.intake.rehearsal import rehearse
from worker.intake.rejected_file import RejectedFile, RejectedRows, rejected_path
from worker.intake.row_errors import FieldError
from worker.intake.source import FileRefused, FileSource, Fingerprint, Source, digest_of, source_for, spool
from worker.intake.target_guard import TargetGuard
from worker.runtime import Runtime
from worker.store.batches import NewBatch
from worker.telling.receipt_records import receipt_record
from worker.tracing.spans import trace_as

NO_REMOTE = "there is no Coaching API to send to: set COACHSYNC_API_URL, or a [remotes.NAME] in coachsync.toml"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of the file.

    ``afterwards`` says what becomes of accepted rows once the command is stopped, where they are not sent.
    """

    file: str
    kind: JobKind
    new: NewBatch
    strict: bool = False
    forced: bool = False
    approved: bool = False
    dry_run: bool = False
    afterwards: str | None = None

    @property
    def source(self) -> Source:
        return source_for(self.file, sys.stdin.buffer)


def new_batch(source: str, lane: Lane, label: str | None, key: str | None, output: Output) -> NewBatch:
    try:
        return NewBatch(source, lane, label, key)
    except ValueError as error:
        output.fail(f"--key: {error}")


def require_remote(settings: Settings, output: Output) -> None:
    """Without any remote every row would be rejected for the same reason: say it once, and write nothing."""
    if not settings.all_remotes:
        output.fail(NO_REMOTE)


def apply_file(asked: Asked, runtime: Runtime, output: Output) -> Receipt:
    """Accept the file's rows; rejected ones go to ``FILE.rejected.csv``. With ``strict`` one bad row refuses all.

    Raises ``GuardTripped`` before anything is written.
    """
    require_remote(runtime.settings, output)
    runtime.pin_remotes()
    rejected = RejectedFile(rejected_path(asked.source, Path.cwd()))
    if not asked.strict:
        rejected.check_writable()
    with unguarded(runtime.database, f"the file {asked.file}", acts=asked.approved) as tell:
        receipt = take_file(asked, rejected, runtime, output)
        tell(f"batch {receipt.batch_id}")
    return receipt


def take_file(asked: Asked, rejected: RejectedRows, runtime: Runtime, output: Output) -> Receipt:
    given, guard = asked.source, guard_for(asked, runtime)
    if not (asked.strict or guard):
        return accept_rows(asked, read_wishes(given, asked.kind), rejected, runtime, output)
    with spool(given) as source:
        seen = _look_through(asked, source, guard, runtime, output)
        return accept_rows(asked, read_wishes(source, asked.kind, seen), rejected, runtime, output)


def guard_for(asked: Asked, runtime: Runtime) -> TargetGuard | None:
    guard = TargetGuard(runtime.database, runtime.settings.guard)
    unasked = asked.kind is JobKind.TARGET_UPDATE and not asked.approved
    return guard if unasked and guard.is_needed(asked.new.key) else None


def _look_through(
    asked: Asked, source: FileSource, guard: TargetGuard | None, runtime: Runtime, output: Output
) -> Fingerprint:
    """A first pass, for who has to know the whole file before its first row is written."""
    door = at_the_door(runtime.settings.remote_for, utc_now())

    def check(row: Row) -> Row:
        checked = door(row)
        if guard and isinstance(checked, GoodRow):
            guard.weigh(checked.wish)
        return checked

    with progress_of("reading", output):
        tally = first_pass(source, asked.kind, check)
    if tally.bad and asked.strict:
        _show_tally(tally, output)
        wrong = f"{tally.bad:,} of {counted(tally.rows, 'row is', 'rows are')} wrong"
        output.fail(f"{asked.file}: {wrong}; nothing was written (--strict)")
    if guard and (reason := guard.reason()):
        stop(asked, guard, f"the file {asked.file}", digest_of(source, tally.seen), reason, output)
    return tally.seen


def stop(asked: Asked, guard: TargetGuard, subject: str, digest: str, reason: str, output: Output) -> None:
    """Unless a person has said yes. A dry run asks nobody."""
    if not asked.dry_run:
        guard.stop(subject, digest, reason)
    elif not guard.is_approved(digest):
        remedy = "without --dry-run a person is asked, with --approve nobody"
        output.fail(f"the guard would stop it: {reason}; nothing was written; {remedy}", ExitCode.GUARDED)


@dataclass(frozen=True, slots=True)
class Watching:
    wait: bool
    timeout: float | None


def conclude(receipt: Receipt, asked: Asked, runtime: Runtime, output: Output, watching: Watching) -> ExitCode:
    """Bring the jobs to the broker, say what became of the rows, and watch the batch if that was asked for."""
    runtime.dispatcher.nudge()
    _show_receipt(receipt, asked, output)
    refused = ExitCode.SOME_FAILED if receipt.rejected else ExitCode.DONE
    if watching.wait:
        told = {"receipt": _receipt_record(receipt, asked)}
        return watch_batch(runtime, receipt.batch_id, watching.timeout, output, beside=told) or refused
    if output.as_json:
        output.json(_receipt_record(receipt, asked))
    if receipt.accepted:
        output.say(f"Watch it: coachsync batches wait {receipt.batch_id}")
    if receipt.accepted and asked.kind is JobKind.QUOTA_RECALCULATION:
        output.say("The answers, once they are there: coachsync quotas list")
    return refused


def _show_receipt(receipt: Receipt, asked: Asked, output: Output) -> None:
    fates = receipt.fates
    if receipt.replayed:
        output.say(f"Batch {receipt.batch_id} was accepted before with this key: nothing new was written.")
    output.say(
        f"Batch {receipt.batch_id}: {counted(receipt.rows, 'row')},"
        f" {receipt.accepted:,} accepted, {receipt.rejected:,} rejected."
    )
    output.say(f"  {fate_words(fates)}")
    if fates[Fate.STALE]:
        output.say(
            f"  {fates[Fate.STALE]:,} of the rejected are stale: the plan saw something else, and they were left alone"
        )
    if receipt.rejected:
        output.say(f"  The rejected rows and their reasons: {rejected_path(asked.source, Path.cwd())}")


def fate_words(fates: Counter[Fate]) -> str:
    return (
        f"{fates[Fate.QUEUED]:,} queued · {fates[Fate.SUPERSEDED]:,} superseded by a newer wish"
        f" · {fates[Fate.UNCHANGED]:,} unchanged · {fates[Fate.REPEATED]:,} repeated"
    )


def _receipt_record(receipt: Receipt, asked: Asked) -> dict[str, Any]:
    rejected = str(rejected_path(asked.source, Path.cwd())) if receipt.rejected else None
    return receipt_record(receipt) | {"rejectedFile": rejected}


def accept_rows(asked: Asked, rows: Iterator[Row], rejected: RejectedRows, runtime: Runtime, output: Output) -> Receipt:
    enter = rehearse if asked.dry_run else accept
    if runtime.settings.traces:
        trace_as("coachsync-command")
    with rejected, progress_of("accepting", output) as progress:
        task = progress.add_task("accepting", total=None)
        door = _Rows(rejected)

        def on_page(fates: list[RowFate]) -> None:
            progress.advance(task, len(fates))
            door.note(fates)

        try:
            return enter(
                runtime.database,
                map(door.offer, rows),
                asked.new,
                runtime.settings.remote_for,
                forced=asked.forced,
                on_page=on_page,
            )
        except (KeyboardInterrupt, FileRefused, SQLAlchemyError) as error:
            if not isinstance(error, KeyboardInterrupt) and not door.accepted:
                raise
            stopped = error
    if not asked.dry_run:
        runtime.dispatcher.nudge()
    return _tell_stopped(stopped, door, asked, output)


def _tell_stopped(stopped: BaseException, door: "_Rows", asked: Asked, output: Output) -> NoReturn:
    code = ExitCode.INTERRUPTED if isinstance(stopped, KeyboardInterrupt) else ExitCode.SOME_FAILED
    why = database_words(stopped) if isinstance(stopped, SQLAlchemyError) else str(stopped) or "interrupted"
    if not door.accepted:
        output.fail(f"{why}; nothing was accepted", code)
    if asked.dry_run:
        output.fail(f"{why}; {counted(door.accepted, 'row')} before that would be accepted; nothing was written", code)
    rest = f"; {asked.afterwards}" if asked.afterwards else f" and will be sent; {_again(asked)}"
    output.fail(f"{why}; {counted(door.accepted, 'row was', 'rows were')} accepted{door.where}{rest}", code)


def _again(asked: Asked) -> str:
    return "the same command goes on with the rest" if asked.new.key else "with --key the same command could go on"


class _Rows:
    """Turns rows of the file into offers, and writes down those that are refused, by the reader or at acceptance."""

    def __init__(self, rejected: RejectedRows) -> None:
        self.accepted = 0
        self._batch: int | None = None
        self._rejected = rejected
        self._offered: dict[int, GoodRow] = {}  # of the page that is being taken

    @property
    def where(self) -> str:
        return f" as batch {self._batch}" if self._batch else ""

    def offer(self, row: Row) -> Offered | Unreadable:
        if isinstance(row, GoodRow):
            self._offered[row.row] = row
            return Offered(row.row, row.line, row.wish, row.seen)
        self._rejected.write(row)
        fields = ", ".join(error.field for error in row.errors)
        reasons = "; ".join(error.reason for error in row.errors)
        return Unreadable(row.row, row.line, fields, reasons, row.raw)

    def note(self, fates: list[RowFate]) -> None:
        """A page is committed."""
        for fate in fates:
            if fate.fate.accepted:
                self.accepted += 1
                self._batch = self._batch or (fate.job_id or 0) >> ROW_BITS
            elif offered := self._offered.get(fate.row):
                self._rejected.write(
                    refused(offered, FieldError(fate.field or "", fate.reason or "", fate.value or ""))
                )
        self._offered.clear()


def _show_tally(tally: Tally, output: Output) -> None:
    for bad in tally.first_errors:
        for error in bad.errors:
            output.note(f"line {bad.line}: {error.field or 'row'}: {error.reason}")
    if tally.bad > len(tally.first_errors):
        output.note(f"and {counted(tally.bad - len(tally.first_errors), 'more row')}")


def progress_of(what: str, output: Output) -> AbstractContextManager[Progress]:
    return Progress(
        SpinnerColumn(),
        TextColumn(what),
        TextColumn("{task.completed:,.0f} rows"),
        TimeElapsedColumn(),
        console=output.err,
        transient=True,
        disable=not output.err.is_terminal,
    )
