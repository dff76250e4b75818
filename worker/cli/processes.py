"""The commands that are processes: worker, loops, sandbox."""

import os
import signal
import socket
import threading
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from celery.signals import setup_logging

from api_adapter.sandbox.errors import SandboxError
from api_adapter.sandbox.idempotency import IdempotencyMode
from api_adapter.sandbox.options import DEFAULT_TARGETS, SandboxOptions
from api_adapter.sandbox.server import run as run_sandbox
from worker.cli.attending import (
    LOOPBACK,
    MetricsHost,
    MetricsPort,
    attend_as,
    impatient_redis,
    reach,
    show_metrics,
    tell_round,
)
from worker.cli.options import open_runtime
from worker.cli.output import Output
from worker.core.fingerprint import fingerprint
from worker.fleet import fleet_collector
from worker.log import configure_logging
from worker.loops.heart import Heart
from worker.loops.pruner import Pruner
from worker.loops.refresher import Refresher
from worker.loops.rescuer import Rescuer
from worker.loops.runner import Scheduled, run_loops
from worker.loops.stream_consumer import StreamConsumer
from worker.oversight import planner_of, reconciler_of
from worker.runtime import Runtime, WorkerRuntime, process_name
from worker.telemetry import instruments
from worker.telemetry.attendance import Watch
from worker.telemetry.consumer import CONSUMER, watch_consumer
from worker.tracing.spans import end_tracing, trace_as

SANDBOX_LISTENS = "The sandbox Coaching API listens on"


def register(root: typer.Typer) -> None:
    root.command()(worker)
    root.command()(loops)
    root.command()(sandbox)


def worker(
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=64, help="Processes of the worker.")
    ] = 2,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = LOOPBACK,
) -> None:
    """Run a Celery worker on this machine, in the foreground; any number may run, on any number of machines.

    SIGTERM or Ctrl-C finishes what is in flight, gives back the rest and stops.

    Example: coachsync worker --concurrency 4 --metrics-port 9101
    """
    output = Output()
    runtime = open_runtime(output)
    settings = runtime.settings
    runtime.pin_remotes()
    configure_logging(settings)
    runtime.close()
    name = worker_name(os.getpid())
    attendance = attend_as("worker", settings, {CONSUMER: 0.0})
    instruments.expect(remote.name for remote in settings.all_remotes)
    show_metrics(output, attendance, metrics_host, metrics_port)
    redis = impatient_redis(settings)
    consumer = watch_consumer(runtime.app, attendance.pulse, redis, name, concurrency)
    Watch(attendance, {"broker": redis.ping}, consumer.look).start()
    runtime.app.conf.settings_fingerprint = fingerprint(settings.all_remotes)
    setup_logging.connect(_keep_our_logging, weak=False)
    arguments = [
        "worker",
        "--concurrency",
        str(concurrency),
        "--pool",
        "prefork",
        "--without-gossip",
        "--without-mingle",
    ]
    runtime.app.worker_main([*arguments, "--loglevel", settings.log_level, "--hostname", name])


def worker_name(pid: int) -> str:
    return f"coachsync-{pid}@{socket.gethostname()}"


def _keep_our_logging(**_: Any) -> None:
    """Celery sets up no logging of its own where somebody listens to this signal."""


def loops(metrics_port: MetricsPort = None, metrics_host: MetricsHost = LOOPBACK) -> None:
    """Run what keeps the work moving, in the foreground: dispatcher, rescuer, planner, reconciler and the others.

    Any number may run, on any number of machines: the work is done once.

    SIGTERM or Ctrl-C stops them within a round.

    Example: coachsync loops --metrics-port 9110
    """
    output = Output()
    runtime = open_runtime(output)
    runtime.pin_remotes()
    configure_logging(runtime.settings)
    if runtime.settings.traces:
        trace_as("coachsync-loops")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    sending = WorkerRuntime(runtime)
    first, *others = [_scheduled(runtime), _planning(runtime), _asking_remotes(sending), _listening(runtime)]
    pauses = {each.name: each.idle.total_seconds() for some in (first, *others) for each in some}
    attendance = attend_as("loops", runtime.settings, pauses)
    show_metrics(output, attendance, metrics_host, metrics_port, [fleet_collector(runtime)])
    watch = Watch(
        attendance,
        {"database": partial(reach, runtime.database), "broker": impatient_redis(runtime.settings).ping},
    )
    tell = partial(tell_round, attendance.pulse)
    beside = [threading.Thread(target=run_loops, args=(some, stop, time.monotonic, tell)) for some in others if some]
    for each in beside:
        each.start()
    try:
        with watch:
            run_loops(first, stop, time.monotonic, tell)
    finally:
        stop.set()
        for each in beside:
            each.join()
        sending.close()
        runtime.close()
        end_tracing()


def _scheduled(runtime: Runtime) -> list[Scheduled]:
    database, settings = runtime.database, runtime.settings
    keep = timedelta(days=settings.retention_days)
    second = timedelta(seconds=1)
    heart = Heart(database, process_name(), "loops", fingerprint(settings.all_remotes))
    return [
        Scheduled("dispatcher", runtime.dispatcher, second / 10, second),
        Scheduled("rescuer", Rescuer(database), second, second * 4),
        Scheduled("heart", heart, second * 10, second * 10),
        Scheduled("pruner", Pruner(database, keep), second, second * 600),
    ]


def _planning(runtime: Runtime) -> list[Scheduled]:
    """A reorganisation takes its time to be planned: nobody else waits for it."""
    settings, second = runtime.settings, timedelta(seconds=1)
    refresher = Refresher(runtime.database, settings.reconcile, settings.remote_for)
    return [
        Scheduled("planner", planner_of(runtime), second / 10, second * 2),
        Scheduled("refresher", refresher, second, second * 15),
    ]


def _asking_remotes(sending: WorkerRuntime) -> list[Scheduled]:
    """A remote may take its time to answer: nobody else waits for it."""
    return [Scheduled("reconciler", reconciler_of(sending), timedelta(seconds=0.02), timedelta(seconds=5))]


def _listening(runtime: Runtime) -> list[Scheduled]:
    """A whole roster takes its time to be taken: nobody else waits for it."""
    settings = runtime.settings
    if settings.roster.stream is None:
        return []
    consumer = StreamConsumer(runtime.database, runtime.redis, settings.roster.stream, settings.guard, process_name())
    return [Scheduled("stream", consumer, timedelta(seconds=0.02), timedelta(seconds=0.5))]


def sandbox(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free one.")] = 8081,
    host: Annotated[str, typer.Option("--host", help="A loopback address.")] = "127.0.0.1",
    faults: Annotated[Path | None, typer.Option("--faults", help="A fault script (JSON).", metavar="FILE")] = None,
    targets: Annotated[
        int, typer.Option("--targets", min=0, max=1_000_000, help="Targets for each customer.")
    ] = DEFAULT_TARGETS,
    rate_limit: Annotated[str, typer.Option("--rate-limit", help='Answer 429 above it, like "200/second".')] = "",
    idempotency: Annotated[
        IdempotencyMode, typer.Option("--idempotency", help="Whether Idempotency-Key is honoured.")
    ] = IdempotencyMode.OFF,
    latency: Annotated[float, typer.Option("--latency", min=0, max=60, help="Seconds added to each answer.")] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="Of faults with a probability.")] = 0,
    token: Annotated[
        str,
        typer.Option("--token", envvar="COACHSYNC_SANDBOX_TOKEN", help="Let nobody in without it.", show_default=False),
    ] = "",
) -> None:
    """Run a local Coaching API: both operations and the target reads, with its own limit and scripted faults.

    What it is given it keeps in memory; what it did is told under /_sandbox/. It listens on this machine only.

    Example: coachsync sandbox --port 8081 --rate-limit 200/second
    """
    output = Output()
    try:
        script = faults.read_bytes() if faults else b""
    except OSError as error:
        output.fail(f"--faults: {faults}: {error.strerror}")
    options = SandboxOptions(
        targets=targets,
        rate_limit=rate_limit,
        faults=script or (),
        seed=seed,
        idempotency=idempotency,
        token=token,
        latency=timedelta(seconds=latency),
    )
    try:
        run_sandbox(host, port, options, on_ready=lambda url: output.say(f"{SANDBOX_LISTENS} {url}"))
    except SandboxError as error:
        output.fail(str(error))
