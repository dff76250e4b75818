"""Programs that a benchmark starts, and ends with all that they have started."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.site import environment
from tests.services import processes

PATIENCE = 60.0  # seconds: a machine under load imports for long


@dataclass(frozen=True, slots=True)
class Child:
    """``ready`` is what its output says ``times`` over once it can be used."""

    name: str
    command: Sequence[str]
    ready: str = ""
    times: int = 1
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    pid: int
    output: Path

    def log(self) -> str:
        return self.output.read_text(errors="replace")


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


@contextmanager
def child(one: Child, folder: Path) -> Iterator[Running]:
    with children([one], folder) as (running,):
        yield running


@contextmanager
def children(wanted: Sequence[Child], folder: Path) -> Iterator[list[Running]]:
    """Start all, wait until each is ready, and end all; what one wrote is in the folder under its name."""
    started: list[Running] = []
    try:
        for one in wanted:
            log = folder / f"{one.name}.log"
            log.write_bytes(b"")
            started.append(Running(processes.spawn(one.command, log, env=environment() | one.env), log))
        for one, running in zip(wanted, started, strict=True):
            _await(one, running)
        yield started
    finally:
        for running in started:
            with suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGTERM)
        for running in started:
            processes.end(running.pid, patience=10)
            with suppress(ProcessLookupError):  # it leads a group of its own: nobody of it is left behind
                os.killpg(running.pid, signal.SIGKILL)


def _await(one: Child, running: Running) -> None:
    def ready() -> bool:
        assert processes.alive(running.pid), f"{one.name} has ended:\n{running.log()[-3000:]}"
        return running.log().count(one.ready) >= one.times

    processes.wait_until(ready, f"{one.name} is ready; it wrote to {running.output}", seconds=PATIENCE)
