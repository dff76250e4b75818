"""The real command, run in this process on a test's store: what it printed, and its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from worker.cli.main import build
from worker.store.engine import Database

_root = cache(build)  # registers its groups once

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
        root: typer.Typer = _root()
        result = CliRunner().invoke(root, list(map(str, arguments)), env=self.environ)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, (result.stdout, result.stderr)
        return Said(result.exit_code, result.stdout, result.stderr)

    def json(self, *arguments: object, code: int = 0) -> Any:
        return self(*arguments, "--json", code=code).json

    def started(self, *arguments: object) -> subprocess.Popen[str]:
        """The installed command as a process of its own."""
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "worker.cli", *map(str, arguments)],
            env={**os.environ, **self.environ},  # noqa: TID251 - a child's environment
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def command_on(store: Database, home: Path, **settings: str) -> Command:
    """``settings`` are COACHSYNC_ variables, in lower case and without the prefix."""
    named = {"home": str(home), "database_url": store.url, "broker_url": NOBODY, "api_url": "http://127.0.0.1:1"}
    return Command({f"COACHSYNC_{name.upper()}": value for name, value in (named | settings).items()})
