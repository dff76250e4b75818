"""``coachsync webhooks``: tell the outside world, and look after who is told."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from functools import partial

import typer

from schemas.webhooks import CATALOGUE
from worker.cli import webhook_deliveries, webhook_endpoints
from worker.cli.attending import LOOPBACK, MetricsHost, MetricsPort, attend_as, reach, show_metrics
from worker.cli.options import Json, open_runtime
from worker.cli.output import Output
from worker.cli.stop_signals import stop_asked
from worker.cli.trail import leave
from worker.cli.webhook_listen import listen
from worker.cli.webhook_recover import recover
from worker.clock import uniform, utc_now
from worker.counts import counted
from worker.log import configure_logging
from worker.runtime import Runtime, process_name
from worker.store import endpoints
from worker.store.audit import AuditAction
from worker.store.deliveries import Sender
from worker.telemetry.attendance import Watch
from worker.tracing.spans import end_tracing, trace_as
from worker.webhooks.courier import Means
from worker.webhooks.deliverer import Deliverer
from worker.webhooks.post import Poster
from worker.webhooks.sealing import CannotUnseal
from worker.webhooks.setup import guard_of, sealer_of

DELIVERING = "Webhooks are delivered by"
app = typer.Typer(help="Webhooks: who is told of what, how each delivery went, and the telling.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    webhook_endpoints.register(app)
    webhook_deliveries.register(app)
    app.command()(recover)
    app.command("types")(list_types)
    app.command()(listen)
    app.command()(deliver)
    app.command()(reseal)
    root.add_typer(app, name="webhooks")


def list_types(as_json: Json = False) -> None:
    """List the event types there are, and what each tells.

    Example: coachsync webhooks types
    """
    rows = [
        {"type": kind, "fields": ", ".join(field.alias or name for name, field in model.model_fields.items())}
        for kind, model in CATALOGUE.items()
    ]
    Output(as_json).table(("type", "fields"), rows, empty="")


def deliver(metrics_port: MetricsPort = None, metrics_host: MetricsHost = LOOPBACK) -> None:
    """Run what sends the messages, in the foreground; any number may run, on any number of machines.

    It needs the database only, no broker. `coachsync up` runs one. SIGTERM or Ctrl-C finishes what is under way, within
    seconds.

    Example: coachsync webhooks deliver --metrics-port 9120
    """
    output = Output()
    runtime = open_runtime(output)
    configure_logging(runtime.settings)
    if runtime.settings.traces:
        trace_as("coachsync-deliverer")
    attendance = attend_as("deliverer", runtime.settings, {"deliverer": 0.0})
    show_metrics(output, attendance, metrics_host, metrics_port)
    watch = Watch(attendance, {"database": partial(reach, runtime.database)})
    with closing(runtime), watch:
        asyncio.run(_deliver(runtime, output, partial(attendance.pulse.passed, "deliverer")))
    end_tracing()


async def _deliver(runtime: Runtime, output: Output, passed: Callable[[], None]) -> None:
    stop = stop_asked()
    poster = Poster(guard_of(runtime.settings))
    means = Means(runtime.database, poster, Sender(process_name(), uniform), utc_now)
    output.say(f"{DELIVERING} {process_name()}")
    try:
        await Deliverer(means, sealer_of(runtime.settings), passed).run(stop)
    finally:
        await poster.aclose()


def reseal(as_json: Json = False) -> None:
    """Encrypt all secrets anew with the first key of COACHSYNC_WEBHOOK_KEY: afterwards the others can be left out.

    Example: COACHSYNC_WEBHOOK_KEY="$NEW,$OLD" coachsync webhooks reseal
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        sealer = sealer_of(runtime.settings)
        try:
            with runtime.database.write() as session:
                found = endpoints.all_secrets(session)
                for one in found:
                    one.sealed = sealer.reseal(one.sealed)
                if found:
                    leave(session, AuditAction.RESEAL_SECRETS, "webhooks", counted(len(found), "secret"))
        except CannotUnseal as error:
            output.fail(str(error))
    if as_json:
        output.json({"resealed": len(found)})
    else:
        output.say(f"{counted(len(found), 'secret is', 'secrets are')} encrypted with the first key.")
