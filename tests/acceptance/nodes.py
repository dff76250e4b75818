"""pytest-celery's nodes as processes of this machine: the plugin's words (ready, kill, restart, logs), no Docker."""

import os
import signal as signals
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery
from pytest_celery import CeleryTestContainer, CeleryTestSetup, CeleryTestWorker

from tests.acceptance.fork_server import fork_server
from tests.services import processes
from tests.services.valkey import ValkeyServer
from worker.app import make_app

START_PATIENCE = 90.0  # a loaded machine imports for seconds
STOP_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Program:
    """What runs in a process; ``ready`` says from its output whether it can be used.

    ``forked``: it is a ``coachsync``, which the fork server starts.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    ready: Callable[[str], bool]
    forked: bool = False

    def spawn(self) -> int:
        if not self.forked:
            return processes.spawn(self.command, self.log, env=self.env)
        return processes.adopt(fork_server().spawn(self.command[1:], self.log, self.env, self.log.parent))


class ProcessContainer(CeleryTestContainer):
    """One process of ours where the plugin expects a container; it dies with the test run."""

    def __init__(self, program: Program) -> None:
        """Starts it and returns at once; ``ready`` waits."""
        self.program = program
        self.start()

    def start(self) -> None:
        self._log_before = self.program.log.stat().st_size if self.program.log.exists() else 0
        self.exit_code: int | None = None
        self.pid = self.program.spawn()

    @property
    def id(self) -> str:
        return str(self.pid)

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def status(self) -> str:
        return "running" if processes.alive(self.pid) else "exited"

    def ready(self) -> bool:
        processes.wait_until(self._has_started, f"{self.name} is ready", seconds=START_PATIENCE)
        return True

    def _has_started(self) -> bool:
        assert self.status == "running", f"{self.name} has ended:\n{self.logs()[-3000:]}"
        return self.program.ready(self.logs())

    def logs(self) -> str:
        """Since the last start."""
        with self.program.log.open("rb") as log:
            log.seek(self._log_before)
            return log.read().decode(errors="replace")

    def ask_to_stop(self) -> None:
        """Whoever ends many asks all of them first: they take their time side by side."""
        if self.status == "running":
            os.kill(self.pid, signals.SIGTERM)

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """Send the signal and wait for the end, whatever it takes."""
        number = signals.Signals[signal] if isinstance(signal, str) else signal
        self.exit_code = processes.end(self.pid, number, patience=STOP_PATIENCE)

    def restart(self, timeout: float = STOP_PATIENCE) -> None:  # noqa: ARG002 - the plugin's signature
        self.teardown()
        self.start()
        self.ready()

    def reload(self) -> None:
        """There is no view of a process that could be stale."""

    def teardown(self) -> None:
        if self.status == "running":
            self.kill("SIGTERM")


class ValkeyContainer(CeleryTestContainer):
    """A valkey-server that a test may end: a restart is a broker that has lost everything."""

    def __init__(self, server: ValkeyServer) -> None:
        self.server = server

    @property
    def id(self) -> str:
        return str(self.server.pid)

    @property
    def name(self) -> str:
        return "valkey"

    @property
    def status(self) -> str:
        return "running" if self.server.alive else "exited"

    @property
    def celeryconfig(self) -> dict[str, str]:
        return {"url": self.server.url, "host_url": self.server.url}

    def ready(self) -> bool:
        return self.server.alive

    def logs(self) -> str:
        return ""

    def kill(self, signal: str | int = "SIGKILL") -> None:
        assert signal == "SIGKILL", "this broker dies one way"
        self.server.kill()

    def restart(self, timeout: float = STOP_PATIENCE) -> None:  # noqa: ARG002 - the plugin's signature
        self.server.restart()

    def reload(self) -> None:
        """As of a process."""

    def teardown(self) -> None:
        """Who started the server ends it."""


class WorkerNode(CeleryTestWorker):
    """A ``coachsync worker``."""

    @property
    def version(self) -> str:
        return "of this tree"


class Setup(CeleryTestSetup):
    """The plugin's setup, with our application: its queues, its transport's options."""

    @classmethod
    def create_setup_app(
        cls,
        celery_setup_config: dict[str, Any],
        celery_setup_app_name: str,  # noqa: ARG003 - the plugin's signature
    ) -> Celery:
        return make_app(celery_setup_config["broker_url"])

    def teardown(self) -> None:
        self.app.close()
