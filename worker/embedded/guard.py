"""Kills the process groups it was told of as soon as its own parent is gone, whatever ended it.

A script of its own that reads ``+GROUP`` and ``-GROUP`` lines. The pipe's other end closes with the parent on every
system, so this reaches what a parent death signal cannot: grandchildren, and children on systems without one.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Self


class Guard:
    """Our end. ``close`` once all groups are forgotten; a process that dies with groups watched takes them along."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            bufsize=0,
            text=False,
            start_new_session=True,  # a Ctrl-C or a closed terminal is not meant for it
            env={},
        )

    def watch(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def close(self) -> None:
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, line: str) -> None:
        if self._process.stdin:
            with suppress(BrokenPipeError):  # someone killed the guard; the death signal is still there
                self._process.stdin.write(line.encode())


def watched(lines: Iterable[str]) -> set[int]:
    """The groups that were named and not taken back when the lines ended."""
    groups: set[int] = set()
    for line in lines:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    return groups


def main() -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    for group in watched(sys.stdin):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
