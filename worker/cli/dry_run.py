"""``--dry-run`` of a file: the receipt and the exit code that applying it would give, and the first rejected rows."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from worker.cli.apply import Asked, fate_words, require_remote, take_file
from worker.cli.output import ExitCode, Output
from worker.core.acceptance import Fate
from worker.counts import counted
from worker.intake.accept import Receipt
from worker.intake.readers import BadRow
from worker.intake.rehearsal import NO_BATCH
from worker.runtime import Runtime
from worker.telling.receipt_records import fates_record

SHOWN = 10


@dataclass(slots=True)
class FirstRejected:
    """In place of the file of rejected rows."""

    first: list[BadRow] = field(default_factory=list)

    def write(self, rejected: BadRow) -> None:
        if len(self.first) < SHOWN:
            self.first.append(rejected)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_file(asked: Asked, runtime: Runtime, output: Output) -> ExitCode:
    require_remote(runtime.settings, output)
    runtime.check_remotes()
    rejected = FirstRejected()
    return tell_rehearsed(take_file(asked, rejected, runtime, output), rejected, output)


def tell_rehearsed(receipt: Receipt, rejected: FirstRejected, output: Output) -> ExitCode:
    if output.as_json:
        output.json(_record(receipt, rejected))
    else:
        _tell(receipt, rejected, output)
    return ExitCode.SOME_FAILED if receipt.rejected else ExitCode.DONE


def _tell(receipt: Receipt, rejected: FirstRejected, output: Output) -> None:
    for bad in rejected.first:
        for error in bad.errors:
            output.note(f"line {bad.line}: {error.field or 'row'}: {error.reason}")
    if receipt.rejected > len(rejected.first):
        output.note(f"and {counted(receipt.rejected - len(rejected.first), 'more row')}")
    if receipt.replayed:
        output.say(f"Batch {receipt.batch_id} was accepted before with this key.")
    output.say(
        f"{counted(receipt.rows, 'row')}: {receipt.accepted:,} would be accepted, {receipt.rejected:,} rejected."
    )
    output.say(f"  {fate_words(receipt.fates)}")
    if receipt.fates[Fate.STALE]:
        output.say(f"  {receipt.fates[Fate.STALE]:,} of the rejected are stale: the plan saw something else")
    output.say("Nothing was written.")


def _record(receipt: Receipt, rejected: FirstRejected) -> dict[str, Any]:
    return {
        "batch": None if receipt.batch_id == NO_BATCH else receipt.batch_id,
        "rows": receipt.rows,
        "accepted": receipt.accepted,
        "rejected": receipt.rejected,
        "fates": fates_record(receipt.fates),
        "replayed": receipt.replayed,
        "rejections": [
            {"line": bad.line, "row": bad.row, "field": error.field, "reason": error.reason, "value": error.value}
            for bad in rejected.first
            for error in bad.errors
        ],
    }
