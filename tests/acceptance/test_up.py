"""``coachsync up`` as a newcomer runs it: a home is enough, other commands find it there, and it ends whole."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.installation import COACHSYNC, wait_until
from tests.acceptance.nodes import ProcessContainer, Program
from tests.acceptance.process_tree import descendants, living
from tests.acceptance.remote import Remote
from tests.services import processes
from worker.demo.sample import targets_csv

ENDS_WITHIN = 60.0
ROWS = 6
PARTS = {
    "valkey-server": 1,
    "worker.cli worker": 3,
    "worker.cli loops": 1,
    "worker.cli gateway": 1,
    "guard.py": 1,
}  # a worker has two forks


@dataclass(frozen=True, slots=True)
class Up:
    """One ``coachsync up``, and what a person in another terminal can do with the same environment."""

    env: Mapping[str, str]
    folder: Path
    process: ProcessContainer

    def coachsync(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COACHSYNC, *arguments],
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """Empty as long as there is nothing that could be asked."""
        said = self.coachsync("status", "--json")
        told: dict[str, Any] = json.loads(said.stdout) if said.returncode == 0 else {}
        return told

    def is_at_work(self) -> bool:
        told = self.status()
        return bool(told and told["broker"]["reachable"] and told["workers"] and told["loops"])

    def end_by(self, send: Callable[[int], None]) -> int:
        """The exit code, once all that it had started is gone too."""
        theirs = descendants(self.process.pid)
        running = " ".join(theirs.values())
        assert all(running.count(name) == count for name, count in PARTS.items()), theirs
        send(self.process.pid)
        everything = [self.process.pid, *theirs]
        try:
            wait_until(lambda: not living(everything), "it ends, and all that it has started", seconds=ENDS_WITHIN)
        finally:
            for orphan in living(theirs):
                kill(orphan)
        return processes.end(self.process.pid)


@contextmanager
def up(folder: Path, **settings: str) -> Iterator[Up]:
    """In a home of its own, with the ``COACHSYNC_`` settings given and no other."""
    env = {
        "PATH": os.environ["PATH"],  # noqa: TID251 - what a child needs of our environment
        "COACHSYNC_HOME": str(folder / "home"),
        "COACHSYNC_GATEWAY_LISTEN": "127.0.0.1:0",
        **{f"COACHSYNC_{name.upper()}": value for name, value in settings.items()},
    }
    program = Program("up", [COACHSYNC, "up"], env, folder / "up.log", lambda log: " ready." in log)
    process = ProcessContainer(program)
    try:
        process.ready()
        yield Up(env, folder, process)
    finally:
        process.teardown()


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [COACHSYNC, "sandbox", "--port=0", f"--targets={ROWS}"]
    log = tmp_path_factory.mktemp("sandbox") / "sandbox.log"
    env = {"PATH": os.environ["PATH"]}  # noqa: TID251 - as above
    sandbox = ProcessContainer(Program("sandbox", command, env, log, lambda log: "listens on http" in log))
    sandbox.ready()
    match = re.search(r"listens on (http://\S+)", sandbox.logs())
    assert match
    yield match[1]
    sandbox.teardown()


@pytest.fixture(scope="module")
def running(remote: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("up"), api_url=remote) as started:
        yield started


def test_a_file_applied_from_another_terminal_is_sent(running: Up, remote: str) -> None:
    file = running.folder / "targets.csv"
    file.write_text("".join(targets_csv().splitlines(keepends=True)[: 1 + ROWS]))
    said = running.coachsync("targets", "apply", str(file), "--wait", "--json")
    assert said.returncode == 0, said
    assert json.loads(said.stdout)["succeeded"] == ROWS
    wishes = [line.split(",") for line in file.read_text().splitlines()[1:]]
    with httpx.Client(base_url=remote) as http:
        assert Remote(http).values() == {wish[0]: float(wish[5]) for wish in wishes}


def test_a_second_one_on_the_same_home_is_refused_in_one_line(running: Up) -> None:
    second = running.coachsync("up")
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr == (
        f"error: {running.env['COACHSYNC_HOME']} is in use by another coachsync up (process {running.process.pid}); "
        "stop that one, or set COACHSYNC_HOME to another directory\n"
    )
    assert processes.alive(running.process.pid)


def ctrl_c(pid: int) -> None:
    """A terminal sends it to all of the foreground group."""
    os.killpg(pid, signal.SIGINT)


def terminate(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("send", [ctrl_c, terminate])
def test_a_home_is_enough_and_asked_to_stop_it_ends_whole(tmp_path: Path, send: Callable[[int], None]) -> None:
    with up(tmp_path) as started:
        wait_until(lambda: "\nReady: " in started.process.logs(), "it says that it is ready", seconds=90)
        warning, *others = (line for line in started.process.logs().splitlines() if line.startswith(("warn", "Ready")))
        assert warning.startswith("warning: there is no Coaching API to send to: set COACHSYNC_API_URL")
        assert others == ["Ready: 1 worker (2 processes), the loops, webhooks and the gateway. Ctrl-C stops all."]
        assert started.is_at_work()
        assert started.end_by(send) == 0
        assert not list((tmp_path / "home").glob("*.sock"))


def test_killed_it_leaves_no_orphan(tmp_path: Path) -> None:
    with up(tmp_path) as started:
        assert started.end_by(kill) == -signal.SIGKILL
