"""Options that several commands share, and the runtime that they run on."""

from typing import Annotated

import typer

from worker.cli.output import Output
from worker.configuration import settings
from worker.runtime import Runtime, out_of_date

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most this many rows.")]
File = Annotated[str, typer.Argument(help="CSV, TSV or JSONL, also .gz; - is the standard input.", metavar="FILE")]
Label = Annotated[str | None, typer.Option("--label", help="Words that tell this batch from others.")]
Key = Annotated[
    str | None,
    typer.Option("--key", help="The same key with the same file again returns the first receipt.", metavar="K"),
]
Approve = Annotated[
    bool, typer.Option("--approve", help="You know that it changes more than the guard allows, and it is right.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Watch until the batch has ended.")]
Timeout = Annotated[float | None, typer.Option("--timeout", min=0, help="With --wait: seconds after which to stop.")]


def open_runtime(output: Output, *, migrated: bool = True) -> Runtime:
    """The runtime of this command; where ``migrated``, a database that is not current ends it with the remedy."""
    runtime = Runtime(settings.from_environment())
    if problem := out_of_date(runtime.database):
        runtime.close()  # who goes on from here connects anew
        if migrated:
            output.fail(problem)
    return runtime
