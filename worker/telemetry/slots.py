"""Where a process of ours on this machine leaves what others may read of it: ``HOME/processes/worker-0``.

A slot is held by a lock that the process and its children have open, so it is free as soon as all of them are gone,
whatever ended them. A process that starts takes the first free one: restarts need no new names.
"""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

PLACE = "processes"
_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Slot:
    """``name`` is its role and a number. While this process lives, nobody else takes it."""

    role: str
    name: str
    folder: Path


def take_slot(home: Path, role: str) -> Slot:
    """The first free one of the role, empty. Raises ``OSError`` where the home cannot be written."""
    return next(_free(home / PLACE, role))


def slots_in_use(home: Path, role: str | None = None) -> list[Slot]:
    """Those whose process lives, by name."""
    folders = sorted((home / PLACE).glob("*-*"))
    slots = [Slot(folder.name.rpartition("-")[0], folder.name, folder) for folder in folders]
    return [slot for slot in slots if role in (None, slot.role) and _is_held(slot)]


def _free(place: Path, role: str) -> Iterator[Slot]:
    for number in count():
        slot = Slot(role, f"{role}-{number}", place / f"{role}-{number}")
        slot.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(slot.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until the last process that has it open is gone
        except BlockingIOError:
            os.close(lock)
            continue
        for left in slot.folder.iterdir():
            if left.name != _LOCK:
                left.unlink()
        yield slot


def lives(pid: int) -> bool:
    """On this machine; one that has ended and that nobody has asked for yet is not told from one that lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there, and another's
        return True
    return True


def _is_held(slot: Slot) -> bool:
    try:
        lock = os.open(slot.folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
