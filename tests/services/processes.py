"""Child processes that die with the test run, however it ends."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: after fork nothing may be imported


def spawn(
    command: Sequence[str],
    log: Path,
    *,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
    death_signal: int = signal.SIGKILL,
) -> int:
    """Start ``command`` with both outputs in ``log`` and return its pid; it gets ``death_signal`` when we die."""

    def die_with_parent() -> None:
        if _LIBC:
            _LIBC.prctl(_PR_SET_PDEATHSIG, death_signal)

    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=user,
            env=env,
            start_new_session=True,  # Ctrl-C goes to pytest alone, which then ends its children in order
            preexec_fn=die_with_parent,  # noqa: PLW1509 - runs one C call, loaded before the fork
        )
    return adopt(process)


class Process(Protocol):
    """What ``subprocess.Popen`` is to whom it watches over."""

    pid: int

    def poll(self) -> int | None: ...
    def send_signal(self, number: int, /) -> None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


def adopt(process: Process) -> int:
    """Watch over a process that somebody else has started; returns its pid."""
    _CHILDREN[process.pid] = process
    return process.pid


_CHILDREN: dict[int, Process] = {}


def alive(pid: int) -> bool:
    return pid in _CHILDREN and _CHILDREN[pid].poll() is None


def end(pid: int, first: int = signal.SIGTERM, *, patience: float = 5) -> int:
    """Send ``first``, then SIGKILL once ``patience`` seconds have passed; returns the exit code once it is reaped."""
    process = _CHILDREN.pop(pid)
    if (code := process.poll()) is not None:
        return code
    process.send_signal(first)
    process.send_signal(signal.SIGCONT)  # a stopped process takes no signal but KILL
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def wait_until(ready: Callable[[], bool], what: str, *, seconds: float = 30) -> None:
    """Poll ``ready`` until it is true; after ``seconds`` the test fails and says ``what`` never happened."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)  # noqa: TID251 - between two looks, bounded by the deadline
