"""``targets apply PLAN``: hand in what a plan holds, but for rows whose target is no longer as the plan saw it."""

from pathlib import Path

from schemas.plans import Plan, PlanAction
from worker.cli.apply import Asked, accept_rows, guard_for, require_remote, stop
from worker.cli.dry_run import FirstRejected, tell_rehearsed
from worker.cli.output import ExitCode, Output
from worker.cli.trail import unguarded
from worker.clock import utc_now
from worker.intake.accept import Receipt
from worker.intake.door_checks import at_the_door
from worker.intake.plan_files import read_plan, rows_to_apply
from worker.intake.readers import GoodRow, Row
from worker.intake.rejected_file import RejectedFile, RejectedRows, rejected_path
from worker.intake.source import FileSource, digest_of
from worker.runtime import Runtime


def apply_plan(asked: Asked, source: FileSource, runtime: Runtime, output: Output) -> Receipt | None:
    """None where the plan has nothing to do. Raises ``GuardTripped`` before anything is written."""
    require_remote(runtime.settings, output)
    runtime.pin_remotes()
    rejected = RejectedFile(rejected_path(source, Path.cwd()))
    rejected.check_writable()
    with unguarded(runtime.database, f"the plan {asked.file}", acts=asked.approved) as tell:
        receipt = _take(asked, source, rejected, runtime, output)
        tell(f"batch {receipt.batch_id}" if receipt else "it has nothing to do")
    return receipt


def check_plan(asked: Asked, source: FileSource, runtime: Runtime, output: Output) -> ExitCode:
    """``--dry-run``: what would be taken now, and what has become stale; nothing is written."""
    require_remote(runtime.settings, output)
    runtime.check_remotes()
    rejected = FirstRejected()
    receipt = _take(asked, source, rejected, runtime, output)
    return tell_rehearsed(receipt, rejected, output) if receipt else tell_nothing_to_do(asked, output)


def _take(asked: Asked, source: FileSource, rejected: RejectedRows, runtime: Runtime, output: Output) -> Receipt | None:
    plan = _read(asked, source, output)
    rows = list(map(at_the_door(runtime.settings.remote_for, utc_now()), rows_to_apply(plan)))
    if not rows:
        return None
    _guard(asked, source, rows, runtime, output)
    _tell_left_out(plan, output)
    return accept_rows(asked, iter(rows), rejected, runtime, output)


def tell_nothing_to_do(asked: Asked, output: Output) -> ExitCode:
    output.say(f"The plan {asked.file} has nothing to do. Nothing was written.")
    if output.as_json:
        output.json({"batch": None, "rows": 0, "accepted": 0, "rejected": 0})
    return ExitCode.DONE


def _read(asked: Asked, source: FileSource, output: Output) -> Plan:
    if asked.forced or asked.strict:
        option = "--force" if asked.forced else "--strict"
        output.fail(f"{option}: a plan says for each row what is done with it; apply the file it was made of")
    return read_plan(source)


def _guard(asked: Asked, source: FileSource, rows: list[Row], runtime: Runtime, output: Output) -> None:
    guard = guard_for(asked, runtime)
    if guard is None:
        return
    for row in rows:
        if isinstance(row, GoodRow):
            guard.weigh(row.wish)
    if reason := guard.reason():
        stop(asked, guard, f"the plan {asked.file}", digest_of(source), reason, output)


def _tell_left_out(plan: Plan, output: Output) -> None:
    left = {action: plan.counts.get(action, 0) for action in PlanAction if not action.offered}
    if any(left.values()):
        told = " and ".join(f"{count:,} {action}" for action, count in left.items() if count)
        output.say(f"Left out, as the plan says: {told} row{'s' if sum(left.values()) > 1 else ''}.")
