"""The real command, run in this process on a test's store: what it printed, and its exit code."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from worker.cli.main import build
from worker.store.engine import Database


@cache
def _coachsync() -> Any:
    """Made once: that costs more than most commands do."""
    return typer.main.get_command(build())


NOBODY = "redis://127.0.0.1:1/0"


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Command:
    """``coachsync`` with settings that name the store. Nobody listens at its broker unless a test names one."""

    environ: Mapping[str, str]

    def __call__(self, *arguments: object, code: int = 0) -> Said:
        """Run it in this process; any other exit code than ``code`` fails the test."""
        with CliRunner().isolation(env=self.environ) as (out, err, _):
            try:
                _coachsync().main(list(map(str, arguments)), prog_name="coachsync")
            except SystemExit as end:
                ended = end.code
            sys.stdout.flush()
            sys.stderr.flush()
            said = Said(int(ended or 0), out.getvalue().decode(), err.getvalue().decode())
        assert said.code == code, said
        return said

    def json(self, *arguments: object, code: int = 0) -> Any:
        return self(*arguments, "--json", code=code).json

    @contextmanager
    def on_a_terminal(self, *arguments: object) -> Iterator["Session"]:
        """The command as a process of its own whose stderr is a terminal; ended with the block."""
        ours, its = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli", *map(str, arguments)],
            env={**os.environ, **self.environ, "TERM": "xterm", "COLUMNS": "120"},  # noqa: TID251 - a child's environment
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=its,
            text=True,
        )
        os.close(its)
        with process:
            try:
                yield Session(process, ours)
            finally:
                process.kill()
                os.close(ours)


@dataclass(slots=True)
class Session:
    process: subprocess.Popen[str]
    terminal: int
    seen: str = ""

    def wait_for(self, words: str, seconds: float = 90) -> None:
        """Read the terminal until it has shown ``words``."""
        deadline = time.monotonic() + seconds
        while words not in self.seen:
            assert time.monotonic() < deadline, f"{words!r} was not shown within {seconds} s: {self.seen!r}"
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.seen += self._read()

    def end(self, seconds: float = 90) -> Said:
        """Wait for its end, reading what it still shows: a full terminal would hold it up."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running after {seconds} s: {self.seen!r}"
            if select.select([self.terminal], [], [], 0.05)[0]:
                self.seen += self._read()
        self.seen += self._read()
        assert self.process.stdout is not None
        return Said(self.process.returncode, self.process.stdout.read(), self.seen)

    def _read(self) -> str:
        try:
            return os.read(self.terminal, 65536).decode(errors="replace")
        except OSError:  # how Linux says that nobody has the other side open any more
            return ""


def command_on(store: Database, home: Path, **settings: str) -> Command:
    """``settings`` are COACHSYNC_ variables, in lower case and without the prefix."""
    named = {"home": str(home), "database_url": store.url, "broker_url": NOBODY, "api_url": "http://127.0.0.1:1"}
    return Command({f"COACHSYNC_{name.upper()}": value for name, value in (named | settings).items()})
