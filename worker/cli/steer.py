"""What ``jobs retry`` and ``jobs cancel`` share: whom they mean, portion by portion, and what is told afterwards."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from schemas.ids import format_job_id
from schemas.jobs import JobState
from worker.cli.filters import job_ids
from worker.cli.output import ExitCode, Output
from worker.cli.trail import under_way
from worker.store import steering
from worker.store.audit import AuditAction
from worker.store.engine import Database, is_passing
from worker.store.listing import find_jobs
from worker.store.selection import Selection, all_ids
from worker.store.steering import AT_ONCE, Steered

TRIES = 5
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Order:
    """One thing that is done to jobs; by filter it means those in ``states``."""

    verb: str
    done: str
    states: tuple[JobState, ...]
    plan: Callable[[Session, Sequence[int]], Steered]
    act: Callable[[Session, Sequence[int]], Steered]


RETRY = Order("retry", "retried", (JobState.FAILED,), steering.plan_retry, steering.retry)
CANCEL = Order("cancel", "cancelled", (JobState.PENDING, JobState.RUNNING), steering.plan_cancel, steering.cancel)


@dataclass(slots=True)
class Tally:
    done: list[int] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)
    interrupted: bool = False


def meant(order: Order, jobs: list[str] | None, filters: Selection, database: Database, output: Output) -> list[int]:
    """The jobs that are named, or those that the filters come to; never all of them by leaving both out."""
    named = job_ids(jobs or [], output)
    if named and filters != Selection():
        output.fail("JOB: name jobs or give filters, not both")
    if not named and filters == Selection():
        output.fail("JOB: name the jobs, or choose them with --batch, --resource, --remote, --lane or --error")
    with database.read() as session:
        if not named:
            return sorted(job for state in order.states for job in all_ids(session, replace(filters, state=state)))
        there = {job.id for job in find_jobs(session, named)}
    if unknown := [format_job_id(job) for job in named if job not in there]:
        output.fail(f"JOB: there is no job {', '.join(unknown[:SHOWN])}; nothing was changed")
    return sorted(set(named))


def subject_of(jobs: list[str] | None, filters: Selection) -> str:
    """Whom the order is for, in the words of the audit trail."""
    if jobs:
        named = ", ".join(jobs[:SHOWN]) + (f" and {len(jobs) - SHOWN:,} more" if len(jobs) > SHOWN else "")
        return f"job {named}"
    given = {
        "batch": filters.batch_id,
        "error": filters.error_code,
        "resource": filters.resource,
        "remote": filters.remote,
        "lane": filters.lane,
    }
    words = ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
    return words if filters == Selection(batch_id=filters.batch_id) else f"jobs of {words}"


def steer(
    order: Order, ids: Sequence[int], subject: str, database: Database, output: Output, *, dry_run: bool
) -> ExitCode:
    """Give the order portion by portion, each in a transaction of its own, and tell what came of it."""
    action = AuditAction(f"{order.verb}-{'batch' if subject.startswith('batch ') else 'job'}")
    with under_way(database, action, subject, acts=bool(ids) and not dry_run) as tell:
        tally = _give(order, ids, database, output, dry_run=dry_run)
        tell(f"{_sum(order, tally)}{'; interrupted' if tally.interrupted else ''}")
    _tell(order, tally, output, dry_run=dry_run)
    if tally.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if tally.skipped else ExitCode.DONE


def _give(order: Order, ids: Sequence[int], database: Database, output: Output, *, dry_run: bool) -> Tally:
    tally = Tally()
    with _progress(output) as progress:
        task = progress.add_task(order.done, total=len(ids))
        try:
            for start in range(0, len(ids), AT_ONCE):
                steered = _portion(order, ids[start : start + AT_ONCE], database, dry_run=dry_run)
                tally.done += steered.done
                tally.skipped |= steered.skipped
                progress.advance(task, AT_ONCE)
        except KeyboardInterrupt:
            tally.interrupted = True
    return tally


def _portion(order: Order, ids: Sequence[int], database: Database, *, dry_run: bool) -> Steered:
    if dry_run:
        with database.read() as session:
            return order.plan(session, ids)
    for _ in range(TRIES - 1):
        try:
            with database.write() as session:
                return order.act(session, ids)
        except DBAPIError as error:  # a deadlock with a worker's transaction, say
            if not is_passing(error):
                raise
    with database.write() as session:
        return order.act(session, ids)


def _sum(order: Order, tally: Tally, would: str = "") -> str:
    return f"{len(tally.done):,} {would}{order.done}, {len(tally.skipped):,} not"


def _tell(order: Order, tally: Tally, output: Output, *, dry_run: bool) -> None:
    skipped = [{"job": format_job_id(job), "why": why} for job, why in tally.skipped.items()]
    if output.as_json:
        done = [format_job_id(job) for job in tally.done]
        output.json({order.done: len(done), "jobs": done, "skipped": skipped, "dryRun": dry_run})
        return
    would, unchanged = ("would be ", " Nothing was changed.") if dry_run else ("", "")
    output.say(f"{_sum(order, tally, would)}.{unchanged}")
    if skipped:
        output.table(("job", "why"), skipped[:SHOWN], empty="")
    if len(skipped) > SHOWN:
        output.note(f"and {len(skipped) - SHOWN:,} more; --json lists all")
    if tally.interrupted:
        output.note("interrupted: what was done stays done, the rest is as it was")


def _progress(output: Output) -> AbstractContextManager[Progress]:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=output.err,
        transient=True,
        disable=not output.err.is_terminal,
    )
