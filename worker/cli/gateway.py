"""``coachsync gateway``: the HTTP door for producers and roster sources."""

import asyncio
import os
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from worker.cli.attending import LOOPBACK, MetricsHost, MetricsPort, attend_as, reach, show_metrics
from worker.cli.options import open_runtime
from worker.cli.output import Output
from worker.clock import utc_now
from worker.console.app import console_of
from worker.fleet import fleet_collector
from worker.gateway.app import create_app
from worker.gateway.server import CannotListen, serve
from worker.gateway.services import Services
from worker.log import configure_logging
from worker.telemetry.attendance import LOOKS_EVERY, Watch
from worker.telemetry.pulse import PulseWriter
from worker.tracing.spans import end_tracing, trace_as
from worker.webhooks.courier import wait_at_most

GATEWAY = "gateway"
LISTENS = "The gateway listens at"


def register(root: typer.Typer) -> None:
    root.command()(gateway)


def gateway(
    host: Annotated[
        str | None, typer.Option("--host", help="Instead of that of gateway_listen.", metavar="HOST")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Instead of that of gateway_listen; 0 takes any free one."),
    ] = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = LOOPBACK,
) -> None:
    """Run the HTTP door for producers and roster sources, in the foreground; any number may run, on any machines.

    It needs the database only: what it takes is committed, and the loops bring it to the workers. Nothing but its
    health answers without a token (`coachsync tokens create`). SIGTERM or Ctrl-C finishes the requests in flight.

    Example: coachsync gateway --port 8080
    """
    output = Output()
    runtime = open_runtime(output)
    settings = runtime.settings
    runtime.pin_remotes()
    configure_logging(settings)
    listen = settings.gateway_listen
    listen = replace(listen, host=host or listen.host, port=listen.port if port is None else port)
    if settings.traces:
        trace_as("coachsync-gateway")
    attendance = attend_as("gateway", settings, {GATEWAY: 0.0})
    show_metrics(output, attendance, metrics_host, metrics_port, [fleet_collector(runtime)])
    with closing(runtime), Watch(attendance, {"database": partial(reach, runtime.database)}):
        services = Services(runtime, utc_now, time.monotonic, os.urandom)
        beats: list[asyncio.Task[None]] = []

        def listening(url: str) -> None:
            beats.append(asyncio.create_task(_beat(attendance.pulse, services.stopping)))
            output.say(f"{LISTENS} {url}")

        try:
            mounts = {"/console": console_of(runtime, utc_now, time.monotonic)}
            serve(create_app(services, mounts), listen, services.stopping, listening)
        except CannotListen as error:
            output.fail(str(error))
        finally:
            end_tracing()


async def _beat(pulse: PulseWriter, stopping: asyncio.Event) -> None:
    """On the loop that answers: while it turns, we live."""
    while not stopping.is_set():
        pulse.passed(GATEWAY)
        await wait_at_most(stopping, LOOKS_EVERY)
