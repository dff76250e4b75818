"""Starts our programs by forking a process that has imported them: importing costs a core a second or two, each time.

What is started so is a process like any other, with an environment, a folder, signals and an exit code of its own. The
server ends when whoever has started it is gone, and all that it has started dies with it.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_IMPORTED = ("celery.apps.worker", "celery.concurrency.prefork", "kombu.transport.redis", "worker.tasks")


@dataclass(slots=True)
class Forked:
    """As ``subprocess.Popen``, for a child of the server's."""

    pid: int
    server: "ForkServer"
    code: int | None = None

    def poll(self) -> int | None:
        if self.code is None:
            self.code = self.server.ask(poll=self.pid)
        return self.code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (timeout or float("inf"))
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
            time.sleep(0.01)  # noqa: TID251 - between two looks
        return code


@dataclass
class ForkServer:
    """The side of who asks. Threads may share it."""

    process: subprocess.Popen[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spawn(self, arguments: Sequence[str], log: Path, env: Mapping[str, str], folder: Path) -> Forked:
        """``coachsync`` with these arguments, both its outputs at the end of ``log``."""
        log.touch()  # somebody may read it before the child has written
        pid = self.ask(arguments=list(arguments), log=str(log), env=dict(env), folder=str(folder))
        return Forked(int(pid), self)

    def ask(self, **question: Any) -> Any:
        with self.lock:
            assert self.process.stdin
            assert self.process.stdout
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())


@cache
def fork_server() -> ForkServer:
    """One for the whole run."""
    command = [sys.executable, "-m", "tests.acceptance.fork_server"]
    return ForkServer(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))


def _serve() -> Callable[[], None] | None:
    """Until nobody asks any more. In a child that was forked it returns what the child is to do."""
    ended: dict[int, int] = {}
    for line in iter(sys.stdin.readline, ""):
        question = json.loads(line)
        if "poll" in question:
            answer = _code_of(question["poll"], ended)
        elif (answer := os.fork()) == 0:
            return lambda: _become(question)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return None


def _code_of(pid: int, ended: dict[int, int]) -> int | None:
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if not found:
            return None
        ended[pid] = os.waitstatus_to_exitcode(status)
    return ended[pid]


def _become(question: Mapping[str, Any]) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(question["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for ours, theirs in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(ours, theirs)
    os.chdir(question["folder"])
    os.environ.clear()  # noqa: TID251 - a process of its own has one of its own
    os.environ.update(question["env"])  # noqa: TID251 - as above
    sys.argv = ["coachsync", *question["arguments"]]
    import_module("worker.cli.main").main()


if __name__ == "__main__":
    for name in _IMPORTED:
        import_module(name)
    import_module("worker.cli.main").build()
    if program := _serve():
        program()
