"""``coachsync demo`` as a newcomer runs it: it does the main job, its figures add up, it leaves nothing running."""

import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.installation import COACHSYNC
from tests.acceptance.process_tree import descendants, living
from tests.integration.cli_rig import Command
from worker.core.access import Scope, digest_of
from worker.store import tokens
from worker.store.engine import Database

PATIENCE = 240.0


@dataclass(frozen=True, slots=True)
class Demo:
    """What it printed, and every process that was seen below it while it printed."""

    told: str
    started: Mapping[int, str]
    env: Mapping[str, str]
    folder: Path

    def figures(self, pattern: str) -> list[int]:
        match = re.search(pattern, self.told)
        assert match, self.told
        return [int(figure.replace(",", "")) for figure in match.groups()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Run once, in a folder whose name has to be quoted, where it has a home and a place for temporary files."""
    folder = tmp_path_factory.mktemp("demo") / "a newcomer's"
    (folder / "tmp").mkdir(parents=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder / "tmp")}  # noqa: TID251 - a child's
    told, started = "", dict[int, str]()
    with subprocess.Popen([COACHSYNC, "demo"], env=env, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        hanging = threading.Timer(PATIENCE, process.terminate)
        hanging.start()
        for line in process.stdout:
            told += line
            started |= descendants(process.pid)
        hanging.cancel()
    assert process.returncode == 0, told
    return Demo(told, started, env, folder)


def test_it_runs_the_real_processes_and_leaves_none_running(demo: Demo) -> None:
    running = " ".join(demo.started.values())
    assert all(name in running for name in ("valkey-server", "sandbox", "worker --concurrency 2", "loops", "guard.py"))
    assert not living(demo.started)


def test_it_writes_to_its_home_alone(demo: Demo) -> None:
    assert {path.name for path in demo.folder.iterdir()} == {".coachsync", "tmp"}
    assert [path.name for path in (demo.folder / ".coachsync").iterdir()] == ["demo"]
    assert not list((demo.folder / "tmp").iterdir())


def test_every_row_is_accounted_for(demo: Demo) -> None:
    given, accepted, rejected = demo.figures(r"([\d,]+) rows given = ([\d,]+) accepted \+ ([\d,]+) rejected")
    assert given == accepted + rejected
    assert rejected > 0
    assert (demo.folder / ".coachsync/demo/targets.csv").read_text().count("\n") == 1 + given
    assert (demo.folder / ".coachsync/demo/targets.csv.rejected.csv").read_text().count("\n") == 1 + rejected
    total, updated, coalesced, failed, cancelled = demo.figures(
        r"([\d,]+) accepted = ([\d,]+) updated \+ ([\d,]+) coalesced .*?\+ ([\d,]+) failed \+ ([\d,]+) cancelled"
    )
    assert total == accepted == updated + coalesced + failed + cancelled
    assert updated >= 2_000
    assert coalesced > 0


def test_a_dozen_quotas_are_recalculated(demo: Demo) -> None:
    assert demo.figures(r"([\d,]+) accepted = ([\d,]+) succeeded \+ 0 failed") == [12, 12]


def test_each_of_its_faults_strikes(demo: Demo) -> None:
    trouble = demo.told.partition("The remote made trouble")[2].partition(" requests in ")[0]
    for what in ("Too Many Requests", "Service Unavailable", "ConnectionLostError", "cannot be understood"):
        assert what in trouble


def test_the_limit_and_the_cooldowns_are_kept(demo: Demo) -> None:
    most, limit, violations = demo.figures(r"at most (\d+) in any second \((\d+) allowed\), (\d+) while")
    assert 0 < most <= limit
    assert violations == 0


def test_the_same_file_again_sends_nothing(demo: Demo) -> None:
    (unchanged,) = demo.figures(r"([\d,]+) rows are unchanged")
    assert unchanged >= 2_000


def test_each_command_that_it_ends_with_can_be_pasted_and_tells_of_more_than_one_attempt(demo: Demo) -> None:
    commands = re.findall(r"^  (COACHSYNC_HOME=.* explain .*)$", demo.told, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        story = subprocess.run(
            ["sh", "-c", command],
            env=demo.env,
            cwd=demo.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        assert "1. " in story
        assert "2. " in story


def test_ctrl_c_says_that_all_stops_and_leaves_nothing_running(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    with Command(env).on_a_terminal("demo", "--home", tmp_path / "demo") as demo:
        demo.wait_for("batch 2")
        started = descendants(demo.process.pid)
        demo.process.send_signal(signal.SIGINT)
        said = demo.end()
    assert said.code == 130
    assert "Stopped watching; the demo stops all that it has started" in said.err
    assert "goes on" not in said.err
    assert started
    assert not living(started)


def test_the_token_that_it_ends_with_lets_one_look_at_the_console_of_its_own_home(demo: Demo) -> None:
    last = re.search(
        r"COACHSYNC_HOME=(.+) \S*coachsync gateway .*\n  http://127.*/console, with the token (\S+)\n", demo.told
    )
    assert last, demo.told
    assert last[1] == shlex.quote(str(demo.folder / ".coachsync/demo"))
    with closing(Database(f"sqlite:///{demo.folder}/.coachsync/demo/coachsync.db")) as store, store.read() as session:
        holder = tokens.holder_of(session, digest_of(last[2]))
    assert holder
    assert holder.scopes == {Scope.CONSOLE_VIEW}
