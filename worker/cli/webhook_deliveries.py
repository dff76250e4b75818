"""``coachsync webhooks deliveries``: how each message went to each endpoint, and another try."""

import json
from contextlib import closing
from typing import Annotated

import typer
from sqlmodel import Session

from schemas.ids import format_job_id, parse_batch_id, parse_job_id
from schemas.webhooks import EventType
from worker.cli.filters import checked_if_given
from worker.cli.options import DryRun, Json, Limit, open_runtime
from worker.cli.output import Output
from worker.cli.times import parse_moment
from worker.cli.trail import under_way
from worker.cli.webhook_options import existing, taking
from worker.clock import utc_now
from worker.store import redriving
from worker.store.audit import AuditAction
from worker.store.outbox import DEAD, DELIVERED, PENDING
from worker.store.redriving import DeliveryFilter
from worker.telling.cells import cell
from worker.telling.webhook_records import ATTEMPT_COLUMNS, DELIVERY_COLUMNS, attempt_record, delivery_record

app = typer.Typer(help="Deliveries: list and show them, send them again.", no_args_is_help=True)

STATES = (PENDING, DELIVERED, DEAD)
AT_ONCE = 500
LARGEST = 2**63 - 1  # number that a database holds

ToEndpoint = Annotated[str | None, typer.Option("--endpoint", help="To this endpoint.", metavar="ENDPOINT")]
InState = Annotated[str | None, typer.Option("--state", help="pending, delivered or dead.", metavar="STATE")]
OfType = Annotated[EventType | None, typer.Option("--type", help="Of this type.")]
OfJob = Annotated[str | None, typer.Option("--job", help="About this job.", metavar="JOB")]
OfBatch = Annotated[str | None, typer.Option("--batch", help="About this batch's jobs.", metavar="ID")]
Since = Annotated[
    str | None, typer.Option("--since", help="From this time on: RFC 3339, or how long ago, like 2h.", metavar="T")
]


def register(group: typer.Typer) -> None:
    group.add_typer(app, name="deliveries")


@app.command("list")
def list_deliveries(
    endpoint: ToEndpoint = None,
    state: InState = None,
    kind: OfType = None,
    job: OfJob = None,
    batch: OfBatch = None,
    since: Since = None,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """List deliveries, newest first. All that is given must hold.

    Example: coachsync webhooks deliveries list --state dead --since 24h
    """
    output = Output(as_json)
    chosen = _chosen(output, endpoint, state, kind, job, batch, since)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        _check_endpoint(session, endpoint, output)
        rows = [delivery_record(*row) for row in redriving.list_deliveries(session, chosen, limit)]
    output.table(DELIVERY_COLUMNS, rows, empty="no such deliveries")


@app.command("show")
def show_delivery(
    delivery: Annotated[int, typer.Argument(metavar="DELIVERY", min=1, max=LARGEST, help="Its number.")],
    as_json: Json = False,
) -> None:
    """Show one: what was sent, each attempt, and what the endpoint answered.

    Example: coachsync webhooks deliveries show 17
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = redriving.find_delivery(session, delivery)
        if found is None:
            output.fail(f"DELIVERY: there is no delivery {delivery} (coachsync webhooks deliveries list)")
        attempts = [attempt_record(one) for one in redriving.attempts_of(session, delivery)]
    record, body = delivery_record(*found), json.loads(found[1].body)
    if as_json:
        output.json(record | {"body": body, "tries": attempts})
        return
    output.record(record | {"body": json.dumps(body, ensure_ascii=False)})
    output.say("")
    output.table(ATTEMPT_COLUMNS, attempts, empty="not tried yet")


@app.command("retry")
def retry_deliveries(
    deliveries: Annotated[
        list[int] | None,
        typer.Argument(metavar="[DELIVERY]...", min=1, max=LARGEST, help="Their numbers.", show_default=False),
    ] = None,
    endpoint: ToEndpoint = None,
    state: InState = None,
    kind: OfType = None,
    job: OfJob = None,
    batch: OfBatch = None,
    since: Since = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send deliveries again, dead or delivered, under the ids they had. Without numbers: the dead ones that match.

    What an endpoint that is disabled or deleted did not take stays set aside.

    Example: coachsync webhooks deliveries retry --endpoint ep_0123456789abcdef --since 24h --dry-run
    """
    output = Output(as_json)
    chosen = _chosen(output, endpoint, state or DEAD, kind, job, batch, since)
    if deliveries and any((endpoint, state, kind, job, batch, since)):
        output.fail("give numbers, or say by options which are meant; not both")
    if not deliveries and not any((endpoint, state, kind, job, batch, since)):
        output.fail("say which: by number, or by an option such as --endpoint")
    if chosen.state == PENDING:
        output.fail("--state: what is pending is sent anyway; give dead or delivered")
    with closing(open_runtime(output)) as runtime:
        with runtime.database.read() as session:
            if endpoint is not None:
                taking(session, endpoint, output)
            _check_numbers(session, deliveries or [], output)
        subject = f"delivery {', '.join(map(str, deliveries))}" if deliveries else f"deliveries {_words(chosen)}"
        with under_way(runtime.database, AuditAction.REPLAY_DELIVERY, subject, acts=not dry_run) as tell:
            meant, done, after = 0, 0, 0
            while True:
                with runtime.database.write() as session:
                    ids = sorted(set(deliveries)) if deliveries else redriving.ids_of(session, chosen, after, AT_ONCE)
                    meant += len(ids)
                    done += 0 if dry_run else redriving.redrive(session, ids)
                if deliveries or len(ids) < AT_ONCE:
                    break
                after = ids[-1]
            tell(f"{done:,} of {meant:,} will be sent again")
    if as_json:
        output.json({"meant": meant, "retried": done, "dryRun": dry_run})
    elif dry_run:
        output.say(f"{meant:,} would be sent again. Nothing was changed.")
    else:
        output.say(f"{done:,} of {meant:,} will be sent again.")


def _chosen(
    output: Output,
    endpoint: str | None,
    state: str | None,
    kind: EventType | None,
    job: str | None,
    batch: str | None,
    since: str | None,
) -> DeliveryFilter:
    if state is not None and state not in STATES:
        output.fail(f"--state: {state[:40]!r} is none of {', '.join(STATES)}")
    return DeliveryFilter(
        endpoint=endpoint,
        state=state,
        type=kind,
        job=checked_if_given("--job", parse_job_id, job, output),
        batch=checked_if_given("--batch", parse_batch_id, batch, output),
        since=checked_if_given("--since", parse_moment(utc_now()), since, output),
    )


def _words(chosen: DeliveryFilter) -> str:
    """What is meant, in the words of the audit trail."""
    given = {
        "to": chosen.endpoint,
        "of type": chosen.type,
        "of job": chosen.job and format_job_id(chosen.job),
        "of batch": chosen.batch,
        "since": chosen.since and cell(chosen.since),
    }
    return f"that are {chosen.state}" + "".join(f", {name} {value}" for name, value in given.items() if value)


def _check_endpoint(session: Session, endpoint: str | None, output: Output) -> None:
    if endpoint is not None:
        existing(session, endpoint, output)


def _check_numbers(session: Session, numbers: list[int], output: Output) -> None:
    for number in numbers:
        found = redriving.find_delivery(session, number)
        if found is None:
            output.fail(f"DELIVERY: there is no delivery {number} (coachsync webhooks deliveries list)")
        taking(session, found[0].endpoint_id, output)
