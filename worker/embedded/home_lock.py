"""One ``coachsync up`` a home, and never two brokers on one set of files.

The broker's process inherits the lock's descriptor: the lock is free only when the broker is gone too, however its
parent ended.
"""

import fcntl
import os
import time
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Self

from worker.embedded.errors import HomeInUse

REMAINS = timedelta(seconds=5)
_LOOK_EVERY = 0.02


class HomeLock:
    """Held from ``acquire`` to ``release`` or the end of all processes that have its descriptor."""

    def __init__(self, home: Path) -> None:
        self.path = home / "up.lock"
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        if self._descriptor is None:
            raise RuntimeError(f"{self.path} is not held")
        return self._descriptor

    def acquire(self) -> None:
        """Raises ``HomeInUse`` at once if the holder lives; what a dead one left is given a moment to end."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._wait_for(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Our part in it; a child that still has the descriptor keeps the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _wait_for(self, descriptor: int) -> None:
        deadline = time.monotonic() + REMAINS.total_seconds()
        while not _locked(descriptor):
            holder = _pid_in(descriptor)
            if holder is None or _alive(holder) or time.monotonic() > deadline:
                raise HomeInUse(
                    f"{self.path.parent} is in use by another coachsync up (process {holder or 'unknown'}); "
                    "stop that one, or set COACHSYNC_HOME to another directory"
                )
            Event().wait(_LOOK_EVERY)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid_in(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
