"""A whole installation on this machine: a database, a broker, a remote, loops and workers, each its own process."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
from sqlalchemy import func, select

from schemas.jobs import JobState, TargetUpdate
from schemas.lanes import Lane
from tests.acceptance.fork_server import fork_server
from tests.acceptance.nodes import ProcessContainer, Program, ValkeyContainer
from tests.acceptance.remote import Remote
from tests.services.valkey import ValkeyServer
from worker.configuration.settings import load_settings
from worker.intake.accept import Offered, Receipt, accept
from worker.runtime import Runtime
from worker.store import quarantine, schema
from worker.store.batches import NewBatch
from worker.store.engine import database_now
from worker.store.models import Batch, Quarantine
from worker.store.tables import heartbeats, jobs

TOKEN = "the-fleets-token"
TARGETS = 12_000
CHILDREN = 2
SEED = 183  # of the faults: with it each of the eleven kinds has struck within 400 requests
SKEWED = Path(__file__).with_name("skewed")
MODULE = [sys.executable, "-P", "-m", "worker.cli"]  # of whatever version PYTHONPATH leads to, not of where we are
COACHSYNC = str(Path(sys.executable).with_name("coachsync"))
_PATH = {"PATH": os.environ["PATH"]}  # noqa: TID251 - what our children need of our environment


@dataclass(frozen=True, slots=True)
class Config:
    """What differs between installations. ``request_timeout`` in seconds; ``header``: the remote honours keys."""

    database_url: str
    rate_limit: str = "200/second"
    max_in_flight: int = 32
    request_timeout: float = 2.0
    idempotency: str = "read"
    targets: int = TARGETS


@contextmanager
def installed(config: Config, folder: Path, valkey: ValkeyServer) -> Iterator["Installation"]:
    installation = Installation(config, folder, valkey)
    try:
        installation.open()
        yield installation
    finally:
        installation.close()


@dataclass
class Installation:
    """``started`` are its processes by name, in the order of their first start."""

    config: Config
    folder: Path
    valkey: ValkeyServer
    started: dict[str, ProcessContainer] = field(default_factory=dict)
    opened: ExitStack = field(default_factory=ExitStack)

    def open(self, *, tables: bool = True) -> None:
        """The remote and the database, which may be left without ``tables``; ``start_all`` brings the fleet."""
        self.broker = ValkeyContainer(self.valkey)
        honours = "honour" if self.config.idempotency == "header" else "off"
        options = {"port": 0, "targets": self.config.targets, "seed": SEED, "idempotency": honours}
        arguments = [f"--{name}={value}" for name, value in options.items()]
        sandbox = self._start("sandbox", ["sandbox", *arguments], _PATH, _tells_its_url)
        sandbox.ready()
        self.url = _url_told_by(sandbox)
        self.remote = Remote(self.opened.enter_context(httpx.Client(base_url=self.url, timeout=30)))
        self.runtime = Runtime(load_settings(self.env, cwd=self.folder))
        self.opened.callback(self.runtime.close)
        if tables:
            schema.upgrade(self.runtime.database)

    @property
    def env(self) -> dict[str, str]:
        return _PATH | {
            "COACHSYNC_HOME": str(self.folder),
            "COACHSYNC_DATABASE_URL": self.config.database_url,
            "COACHSYNC_BROKER_URL": self.valkey.url,
            "COACHSYNC_API_URL": self.url,
            "COACHSYNC_API_TOKEN": TOKEN,
            "COACHSYNC_RATE_LIMIT": self.config.rate_limit,
            "COACHSYNC_MAX_IN_FLIGHT": str(self.config.max_in_flight),
            "COACHSYNC_REQUEST_TIMEOUT": str(self.config.request_timeout),
            "COACHSYNC_IDEMPOTENCY": self.config.idempotency,
        }

    def start_worker(self, name: str, *, clock_ahead: float = 0) -> ProcessContainer:
        """Returns at once, as all of these. Its wall clock is ahead by so many seconds."""
        skewed = {"PYTHONPATH": str(SKEWED), "CLOCK_AHEAD": str(clock_ahead)} if clock_ahead else {}
        command = ["worker", "--concurrency", str(CHILDREN)]
        return self._start(name, command, self.env | skewed, lambda log: " ready." in log)

    def start_loops(self, name: str) -> ProcessContainer:
        return self._start(name, ["loops"], self.env, lambda _: self._beats(name))

    def start_worker_of(self, code: Path, name: str) -> ProcessContainer:
        """Of another version, whose packages lie in ``code``."""
        of_it = self.env | {"PYTHONPATH": str(code)}
        return self._start(name, ["worker", "--concurrency", "1"], of_it, lambda log: " ready." in log)

    def start_loops_of(self, code: Path, name: str) -> ProcessContainer:
        return self._start(name, ["loops"], self.env | {"PYTHONPATH": str(code)}, lambda _: self._beats(name))

    def start_deliverer(self, name: str) -> ProcessContainer:
        return self._start(name, ["webhooks", "deliver"], self.env, lambda _: True)

    def start_all(self, *, loops: int = 1) -> None:
        workers = [self.start_worker(f"worker-{number}") for number in (1, 2)]
        for process in [*workers, *(self.start_loops(f"loops-{number}") for number in range(1, loops + 1))]:
            process.ready()

    def revive(self) -> None:
        """What a test has ended is started again."""
        if not self.valkey.alive:
            self.valkey.restart()
        ended = [process for process in self.started.values() if process.status != "running"]
        for process in ended:
            process.start()
        for process in ended:
            process.ready()

    def stop_all(self) -> None:
        for process in self.started.values():
            process.ask_to_stop()
        for process in self.started.values():
            process.teardown()

    def close(self) -> None:
        self.stop_all()
        self.opened.close()

    def coachsync(self, *arguments: str) -> tuple[int, str]:
        """Run a command as a person does; its exit code and what it printed."""
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".out") as printed:
            code = fork_server().spawn(arguments, Path(printed.name), self.env, self.folder).wait(120)
            return code, printed.read().decode()

    def without_room(self, *arguments: str) -> tuple[int, str]:
        """The same, where the disk is full: no file grows any more."""
        command = ["sh", "-c", 'ulimit -f 4; exec "$0" "$@"', COACHSYNC, *arguments]
        done = subprocess.run(
            command, env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def accept(self, wishes: Iterable[TargetUpdate], lane: Lane = Lane.BULK, **more: Any) -> int:
        """The id of their batch. The loops bring it to the broker."""
        rows = (Offered(row, row, wish) for row, wish in enumerate(wishes, start=1))
        receipt: Receipt = accept(
            self.runtime.database, rows, NewBatch("test", lane), self.runtime.settings.remote_for, **more
        )
        return receipt.batch_id

    def batch(self, batch_id: int) -> Batch:
        with self.runtime.database.read() as session:
            return session.get_one(Batch, batch_id)

    def ended(self, *batch_ids: int) -> bool:
        return all(self.batch(batch_id).completed_at for batch_id in batch_ids)

    def await_end(self, *batch_ids: int, seconds: float = 180) -> None:
        wait_until(lambda: self.ended(*batch_ids), f"batches {batch_ids} end", seconds=seconds)

    def states(self, *batch_ids: int) -> dict[str, int]:
        with self.runtime.database.read() as session:
            query = (
                select(jobs.c.state, func.count().label("count"))
                .where(jobs.c.batch_id.in_(batch_ids))
                .group_by(jobs.c.state)
            )
            return {row.state: row.count for row in session.execute(query)}

    def crashes(self, batch_id: int) -> int:
        """How often its jobs have lost a worker."""
        with self.runtime.database.read() as session:
            query = select(func.coalesce(func.sum(jobs.c.crashes), 0)).where(jobs.c.batch_id == batch_id)
            return int(session.execute(query).scalar_one())

    def error_of(self, resource: str) -> str | None:
        with self.runtime.database.read() as session:
            return session.execute(select(jobs.c.error_code).where(jobs.c.resource == resource)).scalar_one()

    def quarantined(self) -> Quarantine | None:
        with self.runtime.database.read() as session:
            return quarantine.find(session, "default")

    def probes(self) -> int:
        standing = self.quarantined()
        return standing.probes if standing else 0

    def due(self) -> int:
        """Jobs that could be sent now, and that no worker holds."""
        with self.runtime.database.read() as session:
            due = (jobs.c.state == JobState.PENDING, jobs.c.due_at <= database_now(session))
            count: int = session.execute(select(func.count()).select_from(jobs).where(*due)).scalar_one()
            return count

    def _start(
        self, name: str, arguments: list[str], env: dict[str, str], ready: Callable[[str], bool]
    ) -> ProcessContainer:
        forked = "PYTHONPATH" not in env  # which counts where Python starts anew
        program = Program(
            name,
            [*(MODULE if "PYTHONPATH" in env else [COACHSYNC]), *arguments],
            env,
            self.folder / f"{name}.log",
            ready,
            forked,
        )
        self.started[name] = ProcessContainer(program)
        return self.started[name]

    def _beats(self, name: str) -> bool:
        with self.runtime.database.read() as session:
            names = session.execute(select(heartbeats.c.name)).scalars().all()
        return any(one.endswith(f":{self.started[name].pid}") for one in names)


def wait_until(true: Callable[[], bool], what: str, *, seconds: float) -> None:
    """As the services' own, at an easier pace: a look is a question to the database, and the machine is at work."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        Event().wait(0.1)


def _tells_its_url(log: str) -> bool:
    return "listens on http" in log


def _url_told_by(sandbox: ProcessContainer) -> str:
    match = re.search(r"listens on (http://\S+)", sandbox.logs())
    assert match
    return match[1]
