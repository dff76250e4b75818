"""The tutorial, typed in as it stands: each command is run, and what it prints is what the page shows."""

import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import pytest

from tests.acceptance.fork_server import Forked, fork_server
from tests.acceptance.installation import COACHSYNC, wait_until

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "first-steps.md"
ENDS_WITHIN = 60.0
OWN_TERMINAL = "<!-- terminal of its own -->\n\n"


@dataclass(frozen=True, slots=True)
class Step:
    """A command and the lines that it prints; ``stays``: it runs on, in a terminal of its own."""

    command: str
    printed: tuple[str, ...]
    stays: bool


def steps(page: str) -> Iterator[Step]:
    """What stands after a prompt, with what follows ``>``, and then what is printed."""
    for stays, block in re.findall(rf"({re.escape(OWN_TERMINAL)})?```console\n(.*?)```", page, re.DOTALL):
        for one in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            first, *others = one.splitlines()
            typed = [line[2:] for line in others if line.startswith("> ")]
            printed = tuple(line for line in others if not line.startswith("> "))
            yield Step("\n".join([first, *typed]), printed, bool(stays))


def as_regex(lines: tuple[str, ...]) -> str:
    """``…`` stands for anything; alone in a line, for any lines."""
    told = ["(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + " *\n" for line in lines]
    return "".join(told).removesuffix("\n") + "\n?"


@dataclass
class Terminal:
    """A shell, whose variables and directory last from one command to the next; ours are forked, which is quicker."""

    folder: Path
    environ: dict[str, str]
    running: list[Forked] = field(default_factory=list)

    def type(self, command: str) -> str:
        if command.startswith("coachsync "):
            log, process = self._fork(command)
            process.wait(ENDS_WITHIN)
            return "" if ">" in command else log.read_text()
        return self._shell(command)

    def leave_running(self, command: str) -> Path:
        log, process = self._fork(command)
        self.running.append(process)
        return log

    def close(self) -> None:
        for process in reversed(self.running):
            process.send_signal(signal.SIGINT)
        for process in reversed(self.running):
            process.wait(ENDS_WITHIN)

    def _fork(self, command: str) -> tuple[Path, Forked]:
        command, _, into = Template(command).substitute(self.environ).partition(" > ")
        here = Path(self.environ["PWD"])
        log = here / into if into else self.folder / f"{len(list(self.folder.glob('*.log')))}.log"
        return log, fork_server().spawn(shlex.split(command)[1:], log, self.environ, here)

    def _shell(self, command: str) -> str:
        kept = self.folder / "environment"
        done = subprocess.run(
            ["bash", "-a", "-c", f"{command}\nenv -0 > {shlex.quote(str(kept))}"],
            cwd=self.environ["PWD"],
            env=self.environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=ENDS_WITHIN,
        )
        self.environ = dict(one.split("=", 1) for one in kept.read_text().split("\0") if one)
        return done.stdout


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / ".venv").symlink_to(Path(COACHSYNC).parents[1])
    path = os.environ["PATH"]  # noqa: TID251 - what our children need of our environment
    opened = Terminal(
        tmp_path,
        {"PATH": path, "PWD": str(tmp_path), "COACHSYNC_GATEWAY_LISTEN": "127.0.0.1:0", "LANG": "C.UTF-8"},
    )
    try:
        yield opened
    finally:
        opened.close()


def test_the_tutorial_is_what_happens(terminal: Terminal) -> None:
    page = PAGE.read_text().partition("<!-- begin -->")[2]
    for port in ("8081", "9000"):
        page = page.replace(f":{port}", f":{(free := free_port())}").replace(f"--port {port}", f"--port {free}")
    logs = []
    for step in steps(page):
        if step.stays:
            logs.append(log := terminal.leave_running(step.command))
            wait_until(lambda: bool(re.search(as_regex(step.printed), log.read_text())), step.command, seconds=90)  # noqa: B023 - waited for here
            continue
        said = terminal.type(step.command)
        assert re.fullmatch(as_regex(step.printed), said), f"{step.command}\n\nprinted\n\n{said}"
    wait_until(lambda: "target.updated" in logs[1].read_text(), "the webhook comes", seconds=90)
    assert "result=already_there" in logs[1].read_text()


def test_each_kind_of_step_is_read() -> None:
    read = list(steps(PAGE.read_text().partition("<!-- begin -->")[2]))
    assert len(read) > 15
    assert [step.command.split()[1] for step in read if step.stays] == ["up", "webhooks"]
    assert all(step.printed for step in read if step.command.startswith("coachsync") and ">" not in step.command)
