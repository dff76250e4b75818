"""``coachsync webhooks recover``: an endpoint gets what it has missed."""

from collections import Counter
from contextlib import closing
from typing import Annotated

import typer

from worker.cli.filters import checked
from worker.cli.options import DryRun, Json, open_runtime
from worker.cli.output import Output
from worker.cli.times import parse_moment
from worker.cli.trail import under_way
from worker.cli.webhook_options import EndpointId, Types, existing, taking
from worker.clock import utc_now
from worker.core.endpoint_filter import EndpointFilter
from worker.runtime import Runtime
from worker.store import redriving
from worker.store.audit import AuditAction
from worker.store.redriving import Window
from worker.telling.cells import cell


def recover(
    endpoint: EndpointId,
    since: Annotated[
        str, typer.Option("--since", help="From this time on: RFC 3339, or how long ago, like 2h.", metavar="T")
    ],
    until: Annotated[str | None, typer.Option("--until", help="Up to this time; now if left out.", metavar="T")] = None,
    types: Types = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send an endpoint what it asks for and has not taken: what was set aside, what it missed while disabled.

    Ids are the old ones. What was delivered is not sent again, what is pending goes its way.

    Example: coachsync webhooks recover ep_0123456789abcdef --since 2026-01-31T08:00:00Z --dry-run
    """
    output = Output(as_json)
    moment = parse_moment(utc_now())
    try:
        chosen = EndpointFilter.of(types or ())
    except ValueError as error:
        output.fail(f"--type: {error}")
    window = Window(
        checked("--since", moment, since, output),
        checked("--until", moment, until, output) if until else utc_now(),
        chosen,
    )
    if window.since >= window.until:
        output.fail("--since: is not before --until; nothing lies between them")
    with closing(open_runtime(output)) as runtime:
        with runtime.database.read() as session:
            (existing if dry_run else taking)(session, endpoint, output)
        with under_way(
            runtime.database, AuditAction.RECOVER_ENDPOINT, f"endpoint {endpoint}", acts=not dry_run
        ) as tell:
            counts = _recover(runtime, endpoint, window, output, dry_run=dry_run)
            sent = counts["missing"] + counts["dead"]
            tell(f"{sent:,} of {cell(window.since)} to {cell(window.until)} will be sent")
    if as_json:
        output.json({"endpoint": endpoint, **counts, "dryRun": dry_run})
        return
    output.say(
        f"{sent:,} {'would be' if dry_run else 'will be'} sent: {counts['missing']:,} it never got,"
        f" {counts['dead']:,} that were set aside."
    )
    output.say(f"Left alone: {counts['delivered']:,} it has, {counts['pending']:,} on their way.")


def _recover(runtime: Runtime, endpoint: str, window: Window, output: Output, *, dry_run: bool) -> Counter[str]:
    counts = Counter[str](missing=0, dead=0, delivered=0, pending=0)
    after: int | None = 0
    while after is not None:
        with runtime.database.write() as session:
            found = (existing if dry_run else taking)(session, endpoint, output)
            page = redriving.recover_page(session, found, window, after, dry_run=dry_run)
        counts.update(page.counts)
        after = page.last
    return counts
