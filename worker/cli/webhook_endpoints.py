"""``coachsync webhooks endpoints``: make, change, rotate, pause, delete and try endpoints."""

import asyncio
import os
from contextlib import closing
from typing import Annotated, Any

import typer

from schemas.webhooks import SignatureKind
from worker.cli.filters import checked
from worker.cli.options import Json, open_runtime
from worker.cli.output import ExitCode, Output
from worker.cli.trail import leave
from worker.cli.webhook_options import (
    Asymmetric,
    Batches,
    Concurrency,
    Customers,
    Description,
    EndpointId,
    Ordered,
    Rate,
    Types,
    Usecases,
    existing,
    filter_asked,
)
from worker.configuration.redaction import mask_url
from worker.configuration.values import parse_duration
from worker.runtime import Runtime
from worker.store import endpoints
from worker.store.audit import AuditAction
from worker.store.endpoints import NewEndpoint
from worker.store.outbox import DISABLED
from worker.telling.cells import cell
from worker.telling.webhook_records import ENDPOINT_COLUMNS, endpoint_record, endpoint_records, endpoint_row
from worker.webhooks import signing
from worker.webhooks.address import check_endpoint_url
from worker.webhooks.sealing import CannotUnseal
from worker.webhooks.setup import guard_of, sealer_of
from worker.webhooks.trial import send_trial

app = typer.Typer(help="Endpoints: who is told.", no_args_is_help=True)

DEFAULT_CONCURRENCY = 10
ID_BYTES = 8


def register(group: typer.Typer) -> None:
    group.add_typer(app, name="endpoints")


@app.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="https only, unless [webhooks] allow_http is true.")],
    types: Types = None,
    customers: Customers = None,
    usecases: Usecases = None,
    batches: Batches = None,
    description: Description = None,
    ordered: Ordered = None,
    rate: Rate = None,
    concurrency: Concurrency = None,
    asymmetric: Asymmetric = False,
    as_json: Json = False,
) -> None:
    """Make an endpoint, and print its secret: this once, it cannot be shown again.

    Without filters it is told everything from now on.

    Example: coachsync webhooks endpoints create https://example.com/hooks --type target.* --type batch.completed
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        url = _checked_url(url, runtime, output)
        chosen = filter_asked(types, customers, usecases, batches, output)
        kind, secret = _new_secret(asymmetric=asymmetric)
        new = NewEndpoint(
            id=f"ep_{os.urandom(ID_BYTES).hex()}",
            url=url,
            description=description,
            filter=chosen,
            ordered=bool(ordered),
            rate_limit=rate or None,
            concurrency=concurrency or DEFAULT_CONCURRENCY,
            kind=kind,
            sealed=sealer_of(runtime.settings).seal(secret),
        )
        with runtime.database.write() as session:
            endpoint = endpoints.create(session, new)
            leave(session, AuditAction.CREATE_ENDPOINT, f"endpoint {endpoint.id}", mask_url(url))
            record = endpoint_record(session, endpoint)
    _tell_secret(output, record, secret, f"Endpoint {endpoint.id} is made.")


@app.command("list")
def list_endpoints(as_json: Json = False) -> None:
    """List the endpoints: what each asks for, how it is doing, what waits for it.

    Example: coachsync webhooks endpoints list
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        records = endpoint_records(session, endpoints.list_all(session))
    if as_json:
        output.json(records)
    else:
        rows = map(endpoint_row, records)
        output.table(ENDPOINT_COLUMNS, rows, empty="nobody is told: coachsync webhooks endpoints create URL")


@app.command()
def show(endpoint: EndpointId, as_json: Json = False) -> None:
    """Show one endpoint, its filters, its health and its secrets' ages.

    Example: coachsync webhooks endpoints show ep_0123456789abcdef
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        record = endpoint_record(session, existing(session, endpoint, output))
    output.record(record if as_json else endpoint_row(record))


@app.command()
def update(
    endpoint: EndpointId,
    url: Annotated[str | None, typer.Option("--url", help="Where to send from now on.", metavar="URL")] = None,
    types: Types = None,
    customers: Customers = None,
    usecases: Usecases = None,
    batches: Batches = None,
    description: Description = None,
    ordered: Ordered = None,
    rate: Rate = None,
    concurrency: Concurrency = None,
    as_json: Json = False,
) -> None:
    """Change an endpoint. A filter that is given replaces the one before; an empty one ('') lets everything through.

    Example: coachsync webhooks endpoints update ep_0123456789abcdef --type quota.changed --rate 20
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        chosen = filter_asked(types, customers, usecases, batches, output)
        filters = {"types": types, "customers": customers, "usecases": usecases, "batches": batches}
        given = {name: getattr(chosen, name) for name, values in filters.items() if values is not None}
        plain = {"description": description, "ordered": ordered, "concurrency": concurrency}
        values: dict[str, Any] = {**given, **{name: value for name, value in plain.items() if value is not None}}
        if rate is not None:
            values["rate_limit"] = rate or None
        if url is not None:
            values["url"] = _checked_url(url, runtime, output)
        if not values:
            output.fail("nothing to change: give one of the options")
        with runtime.database.write() as session:
            existing(session, endpoint, output)
            endpoints.change(session, endpoint, values)
            leave(session, AuditAction.UPDATE_ENDPOINT, f"endpoint {endpoint}", f"changed: {', '.join(sorted(values))}")
            record = endpoint_record(session, existing(session, endpoint, output))
    output.record(record if as_json else endpoint_row(record))


@app.command()
def rotate(
    endpoint: EndpointId,
    asymmetric: Asymmetric = False,
    overlap: Annotated[
        str | None,
        typer.Option("--overlap", help="How long the old secret signs too; as [webhooks] overlap says.", metavar="24h"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Give an endpoint a new secret, and print it this once. For a while the old one signs beside it.

    Example: coachsync webhooks endpoints rotate ep_0123456789abcdef --overlap 3d
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        lasts = runtime.settings.webhooks.overlap
        if overlap is not None:
            lasts = checked("--overlap", parse_duration, overlap, output)
        kind, secret = _new_secret(asymmetric=asymmetric)
        sealed = sealer_of(runtime.settings).seal(secret)
        with runtime.database.write() as session:
            existing(session, endpoint, output)
            until = endpoints.rotate(session, endpoint, kind, sealed, lasts)
            leave(
                session, AuditAction.ROTATE_SECRET, f"endpoint {endpoint}", f"the old one signs too until {cell(until)}"
            )
            record = endpoint_record(session, existing(session, endpoint, output))
    _tell_secret(output, record, secret, f"The old secret signs too until {cell(until)}.")


@app.command()
def pause(endpoint: EndpointId, as_json: Json = False) -> None:
    """Send nothing for now; what there is to tell waits.

    Example: coachsync webhooks endpoints pause ep_0123456789abcdef
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.write() as session:
        was = existing(session, endpoint, output).state
        if not endpoints.pause(session, endpoint):
            output.fail(f"{endpoint} is {was}: only an enabled endpoint can be paused")
        leave(session, AuditAction.PAUSE_ENDPOINT, f"endpoint {endpoint}", f"it was {was}")
        record = endpoint_record(session, existing(session, endpoint, output))
    _say(output, record, f"{endpoint} is paused; {record['pending']:,} wait for it.")


@app.command()
def resume(endpoint: EndpointId, as_json: Json = False) -> None:
    """Send again to an endpoint that was paused, or that its failures have disabled.

    What a disabled endpoint has missed is not sent by itself: `coachsync webhooks recover` sees to that.

    Example: coachsync webhooks endpoints resume ep_0123456789abcdef
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.write() as session:
        was = existing(session, endpoint, output).state
        if not endpoints.resume(session, endpoint):
            output.fail(f"{endpoint} is {was}: there is nothing to resume")
        leave(session, AuditAction.RESUME_ENDPOINT, f"endpoint {endpoint}", f"it was {was}")
        record = endpoint_record(session, existing(session, endpoint, output))
    missed = f" What it has missed: coachsync webhooks recover {endpoint} --since T" if was == DISABLED else ""
    _say(output, record, f"{endpoint} is enabled.{missed}")


@app.command()
def delete(endpoint: EndpointId, as_json: Json = False) -> None:
    """Forget an endpoint and its secrets; what waits for it is set aside, and its past stays as long as all else.

    Example: coachsync webhooks endpoints delete ep_0123456789abcdef
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.write() as session:
        record = endpoint_record(session, existing(session, endpoint, output))
        endpoints.remove(session, endpoint)
        leave(session, AuditAction.DELETE_ENDPOINT, f"endpoint {endpoint}", mask_url(record["url"]))
    _say(output, record | {"state": "deleted"}, f"{endpoint} is deleted; what waited for it is set aside.")


@app.command("test")
def send_test(endpoint: EndpointId, as_json: Json = False) -> None:
    """Send one message of the type endpoint.test now, signed like any other, and show the answer.

    Exit code 1 where the endpoint has not taken it. It counts neither for nor against the endpoint's health.

    Example: coachsync webhooks endpoints test ep_0123456789abcdef
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        with runtime.database.read() as session:
            found = existing(session, endpoint, output)
            sealed = [one.sealed for one in endpoints.secrets_of(session, [endpoint])]
        try:
            secrets = [sealer_of(runtime.settings).unseal(one) for one in sealed]
        except CannotUnseal as error:
            output.fail(str(error), ExitCode.SOME_FAILED)
        reply = asyncio.run(send_trial(found, secrets, guard_of(runtime.settings)))
    record = {
        "endpoint": endpoint,
        "taken": reply.succeeded,
        "status": reply.status,
        "error": reply.error,
        "body": reply.body,
    }
    if as_json:
        output.json(record)
    else:
        output.say(f"{endpoint} has taken it ({reply.status})." if reply.succeeded else f"Not taken: {reply.words}")
        if reply.body:
            output.say(cell(reply.body))
    if not reply.succeeded:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _checked_url(url: str, runtime: Runtime, output: Output) -> str:
    options = runtime.settings.webhooks
    try:
        return check_endpoint_url(url, guard_of(runtime.settings), allow_http=options.allow_http)
    except ValueError as error:
        output.fail(f"URL: {error}")


def _new_secret(*, asymmetric: bool) -> tuple[SignatureKind, str]:
    kind: SignatureKind = "v1a" if asymmetric else "v1"
    return kind, signing.new_secret(kind, os.urandom)


def _tell_secret(output: Output, record: dict[str, Any], secret: str, sentence: str) -> None:
    shown = signing.shown(secret)
    name = "secret" if shown.startswith(signing.SECRET) else "publicKey"
    if output.as_json:
        output.json(record | {name: shown})
        return
    output.say(sentence)
    what = "Its secret, shown this once" if name == "secret" else "Its public key, for the receiver to verify with"
    output.say(f"{what}: {shown}")


def _say(output: Output, record: dict[str, Any], sentence: str) -> None:
    if output.as_json:
        output.json(record)
    else:
        output.say(sentence)
