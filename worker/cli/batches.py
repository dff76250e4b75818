"""``coachsync batches``: list and show batches, watch one until it has ended."""

from contextlib import closing
from typing import Annotated

import typer

from schemas.ids import parse_batch_id
from worker.cli.filters import checked
from worker.cli.options import Json, Limit, open_runtime
from worker.cli.output import Output
from worker.cli.summary import summarise, tell_quotas
from worker.cli.watch import watch_batch
from worker.clock import utc_now
from worker.store.listing import find_batch
from worker.store.listing import list_batches as page_of_batches
from worker.telling.records import batch_record
from worker.telling.words import batch_state_words, counted_words

app = typer.Typer(help="Batches: list and show them, watch one until it has ended.", no_args_is_help=True)

COUNTED = ("accepted", "rejected", "succeeded", "failed", "superseded", "cancelled", "open")
COLUMNS = ("batch", "source", "label", "createdAt", "completedAt", *COUNTED)
BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="Its number, like 17.")]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="batches")


@app.command("list")
def list_batches(
    still_open: Annotated[bool, typer.Option("--open", help="Only those that have not ended.")] = False,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List batches, newest first.

    Example: coachsync batches list --open
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = page_of_batches(session, limit, open_only=still_open)
    rows = [batch_record(batch, utc_now()) for batch in found]
    output.table(COLUMNS, rows, empty="no open batch" if still_open else "no batch yet: coachsync targets apply FILE")


@app.command()
def show(batch: BatchId, limit: Limit = 10, as_json: Json = False) -> None:
    """Show one batch: how its counters add up, what failed by code, the first rows that were rejected, its quotas.

    Example: coachsync batches show 17
    """
    output = Output(as_json)
    wanted = checked("BATCH", parse_batch_id, batch, output)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = find_batch(session, wanted)
        summary = summarise(session, found, rejections=limit) if found else None
    if not (found and summary):
        output.fail(f"BATCH: there is no batch {batch} (coachsync batches list)")
    record = batch_record(found, utc_now())
    if as_json:
        output.json(record | summary.record)
        return
    output.say(f"Batch {found.id} ({found.source}{f', {found.label}' if found.label else ''})")
    for line in (batch_state_words(found, utc_now()), *counted_words(found), f"{record['perSecond']:,}/s on average"):
        output.say(f"  {line}")
    if summary.errors:
        output.say("\nFailed, by code:")
        output.table(("errorCode", "count", "example", "error"), summary.errors, empty="")
    if summary.rejections:
        output.say(f"\nRejected rows, the first {len(summary.rejections):,} of {found.rejected:,}:")
        output.table(("line", "field", "reason", "value"), summary.rejections, empty="")
    tell_quotas(summary, output)


@app.command()
def wait(
    batch: BatchId,
    timeout: Annotated[float | None, typer.Option("--timeout", min=0, help="Seconds after which to stop.")] = None,
    as_json: Json = False,
) -> None:
    """Watch a batch until it has ended. Ctrl-C stops the watching, not the work.

    Exit code 0: all succeeded or were superseded; 1: some failed or were cancelled; 4: it took longer than --timeout.

    Example: coachsync batches wait 17 --timeout 600
    """
    output = Output(as_json)
    wanted = checked("BATCH", parse_batch_id, batch, output)
    with closing(open_runtime(output)) as runtime:
        code = watch_batch(runtime, wanted, timeout, output)
    raise typer.Exit(code)
