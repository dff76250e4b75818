"""``coachsync up``: everything on this machine, in the foreground."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from worker.cli.apply import NO_REMOTE
from worker.cli.gateway import LISTENS as GATEWAY_LISTENS
from worker.cli.output import ExitCode, Output
from worker.cli.processes import SANDBOX_LISTENS
from worker.cli.readiness import Readiness
from worker.cli.up_words import ready_words
from worker.cli.webhooks import DELIVERING
from worker.configuration import settings as settings_module
from worker.configuration.settings import Settings
from worker.configuration.values import LogFormat
from worker.embedded.child import ChildSpec, Forward
from worker.embedded.errors import EmbeddedError
from worker.embedded.home_lock import HomeLock
from worker.embedded.keeper import GaveUp, Refused, Stopped
from worker.embedded.private_directory import make_home
from worker.embedded.supervisor import Supervisor
from worker.embedded.valkey import Valkey
from worker.gateway.server import GRACE as GATEWAY_GRACE
from worker.log import configure_logging
from worker.runtime import Runtime
from worker.store import schema
from worker.store.engine import database_now

COMMAND = (sys.executable, "-m", "worker.cli")
WORKER_GRACE = timedelta(seconds=40)  # a chunk in flight, its requests' timeouts, the soft shutdown


@dataclass(frozen=True, slots=True)
class SandboxAsked:
    port: int
    faults: Path | None = None
    targets: int | None = None


def register(root: typer.Typer) -> None:
    root.command()(up)


def up(
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes of the worker.")] = 2,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Run the sandbox Coaching API where COACHSYNC_API_URL points.")
    ] = False,
    faults: Annotated[Path | None, typer.Option("--faults", help="The sandbox's fault script.", metavar="FILE")] = None,
    sandbox_targets: Annotated[int | None, typer.Option("--sandbox-targets", min=0, hidden=True)] = None,
) -> None:
    """Run workers and loops on this machine; Valkey too where no COACHSYNC_BROKER_URL is given, on SQLite by default.

    Other commands find it by the same COACHSYNC_HOME. Ctrl-C stops all, and it ends with 0; a second one stops at once.

    Example: COACHSYNC_API_URL=http://127.0.0.1:8081 coachsync up --sandbox
    """
    output = Output()
    if faults and not sandbox:
        output.fail("--faults is the sandbox's: give --sandbox too")
    if sandbox and (given := settings_module.api_url_given()):
        _sandbox_port(given, output)  # else the settings would ask for the credential of an API that is not meant
    settings = settings_module.from_environment()
    configure_logging(settings)
    wanted = SandboxAsked(_sandbox_port(settings.api_url, output), faults, sandbox_targets) if sandbox else None

    def tell_ready() -> None:
        if not settings.all_remotes:
            output.note(f"warning: {NO_REMOTE}")
        output.say(ready_words(settings, workers, sandbox=sandbox))

    try:
        with _specs(settings, workers, wanted, output) as specs:
            supervisor = Supervisor(specs, forward=_forwarder(settings), on_ready=tell_ready)
            ending = asyncio.run(supervisor.run())
    except EmbeddedError as error:
        output.fail(str(error))
    match ending:
        case GaveUp(name, reason, last_lines):
            for line in last_lines:
                output.note(line)
            output.fail(f"{name} keeps ending ({reason}); its last words are above", ExitCode.SOME_FAILED)
        case Refused(name, reason):
            output.fail(f"{name}: {reason}")
        case Stopped():
            pass


@contextmanager
def _specs(settings: Settings, workers: int, sandbox: SandboxAsked | None, output: Output) -> Iterator[list[ChildSpec]]:
    """The children in the order of their start; the home stays claimed while they run."""
    environ = os.environ | {"COACHSYNC_LOG_FORMAT": settings.log_format}  # noqa: TID251 - their environment is ours
    with ExitStack() as stack:
        specs: list[ChildSpec] = []
        if settings.embedded_broker:
            specs.append(stack.enter_context(Valkey(settings.home)).spec())
        else:
            make_home(settings.home)
            stack.enter_context(HomeLock(settings.home))
        runtime = stack.enter_context(closing(Runtime(settings)))
        readiness = Readiness(runtime, since=_prepare_database(runtime, output))
        if sandbox:
            specs.append(_sandbox(sandbox, environ))
        worker = (*COMMAND, "worker", "--concurrency", str(workers))
        specs.append(
            ChildSpec("worker", worker, environ, ready=readiness.worker, ready_within=None, grace=WORKER_GRACE)
        )
        specs.append(ChildSpec("loops", (*COMMAND, "loops"), environ, ready=readiness.loops, ready_within=None))
        deliver = (*COMMAND, "webhooks", "deliver")
        specs.append(ChildSpec("webhooks", deliver, environ, ready_words=DELIVERING, ready_within=None))
        gateway = (*COMMAND, "gateway")
        specs.append(
            ChildSpec(
                "gateway",
                gateway,
                environ,
                ready_words=GATEWAY_LISTENS,
                ready_within=None,
                grace=GATEWAY_GRACE + timedelta(seconds=5),
            )
        )
        yield specs


def _prepare_database(runtime: Runtime, output: Output) -> datetime:
    """Returns what time it is there."""
    before, after = schema.upgrade(runtime.database)
    runtime.pin_remotes()
    if before != after:
        output.note(f"The database's schema is now at {after}.")
    with runtime.database.read() as session:
        return database_now(session)


def _sandbox(asked: SandboxAsked, environ: Mapping[str, str]) -> ChildSpec:
    argv = [*COMMAND, "sandbox", "--host", "127.0.0.1", "--port", str(asked.port)]
    argv += ["--faults", str(asked.faults)] if asked.faults else []
    argv += ["--targets", str(asked.targets)] if asked.targets is not None else []
    return ChildSpec("sandbox", argv, environ, ready_words=SANDBOX_LISTENS)


def _sandbox_port(api_url: str | None, output: Output) -> int:
    try:
        url = urlsplit(api_url or "")
        port = url.port if url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost") else None
    except ValueError:
        port = None
    return port or output.fail("--sandbox: set COACHSYNC_API_URL to a port of this machine, like http://127.0.0.1:8081")


def _forwarder(settings: Settings) -> Forward:
    """Lines for people get the child's name before them; JSON lines stay JSON."""
    pattern = "{line}\n" if settings.log_format is LogFormat.JSON else "{name:8} {line}\n"

    def forward(name: str, line: str) -> None:
        sys.stderr.write(pattern.format(name=name, line=line))

    return forward
