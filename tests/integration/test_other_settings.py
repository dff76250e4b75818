"""`status` and `doctor` tell which process runs with other settings of the remotes than the shell that asks."""

import signal
import sys
from pathlib import Path
from typing import Any

from tests.integration.cli_rig import Command
from tests.services import processes
from tests.services.stores import on_sqlite
from worker.cli.processes import _scheduled
from worker.configuration.settings import load_settings
from worker.runtime import Runtime, process_name

pytestmark = on_sqlite

REMEDY = "set the same in both places, and start them anew (`coachsync config` shows what is in force here)"
HAS = "with other settings of the remotes than this shell has"


def but(command: Command, **settings: str) -> Command:
    return Command(command.environ | {f"COACHSYNC_{name.upper()}": value for name, value in settings.items()})


def beat(command: Command, folder: Path) -> str:
    """The loops' heart beats once, with the settings of ``command``; returns the process that it is."""
    scheduled = _scheduled(Runtime(load_settings(command.environ, cwd=folder)))
    next(each for each in scheduled if each.name == "heart").loop.run_once()
    return process_name()


def processes_finding(command: Command) -> Any:
    found = [one for one in command.json("doctor", code=1) if one["what"] == "processes"]
    return found[0] if found else None


def test_loops_are_told_of_that_were_started_with_others(coachsync: Command, tmp_path: Path) -> None:
    slower = but(coachsync, rate_limit="1/second")
    loops = beat(slower, tmp_path)
    assert slower.json("status")["strangers"] == []
    assert processes_finding(slower) is None

    told = f"loops {loops} runs {HAS}"
    assert coachsync.json("status")["strangers"] == [f"loops {loops}"]
    assert f"{told}: {REMEDY}" in coachsync("status").out.splitlines()[0]
    assert processes_finding(coachsync) == {
        "what": "processes", "health": "warning", "found": told, "remedy": REMEDY,
    }  # fmt: skip


def test_a_worker_is_told_of_too_and_all_are_in_one_line(coachsync: Command, valkey: str, tmp_path: Path) -> None:
    here = but(coachsync, broker_url=valkey)
    more = but(here, max_in_flight="5")
    loops = beat(more, tmp_path)
    command = [sys.executable, "-m", "worker.cli", "worker", "-c", "1"]
    worker = processes.spawn(command, tmp_path / "worker.log", env=dict(more.environ))
    processes.wait_until(lambda: bool(more.json("status")["workers"]), "the worker answers", seconds=90)
    (name,) = more.json("status")["workers"]
    assert more.json("status")["verdict"] == "all well: 1 remote ok, 1 worker (1 process)"
    assert here.json("status")["verdict"] == f"loops {loops} and worker {name} run {HAS}: {REMEDY}"
    processes.end(worker, signal.SIGKILL)
