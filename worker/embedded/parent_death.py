"""Replaces itself by a command that dies when the process that started it does, even by SIGKILL.

A script of its own, ``parent_death.py PARENT SIGNAL COMMAND…``: between fork and exec the same call could deadlock in a
parent with threads. Linux keeps the death signal through exec; elsewhere ``guard`` alone watches.

The kernel looks at the *thread* that forked: start such a command from a thread that lives as long as it should.
"""

import os
import sys
from collections.abc import Sequence
from signal import Signals

_PR_SET_PDEATHSIG = 1


def dying_with_us(command: Sequence[str], death_signal: Signals) -> list[str]:
    """The command line that runs ``command`` so that it gets ``death_signal`` when this process dies."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(death_signal)), *command]


def die_with(parent: int, death_signal: int) -> bool:
    """Ask the kernel for the signal; False if ``parent`` was gone before we could ask."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only the script needs it, not those who import this module

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal)
    return os.getppid() == parent


def main(parent: int, death_signal: int, command: list[str]) -> None:
    if not die_with(parent, death_signal):
        return
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
