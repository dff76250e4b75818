"""What each process of ours opens as it starts: its slot, its pulse, and the files in which it counts."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from prometheus_client import values
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from worker.configuration.problems import SettingsError
from worker.configuration.settings import hand_down
from worker.log import get_logger
from worker.telemetry.pulse import Part, Pulse, PulseWriter
from worker.telemetry.slots import Slot, lives, take_slot

WATCH = "watch"
LOOKS_EVERY = 2.0
_LOOK_LASTS = 60.0  # a server that hangs takes its time to be found away
_KINDS = ("counter", "histogram", "gauge_livesum")
_ROOM = 512 * 1024  # what is counted of some thirty remotes
_log = get_logger(__name__)
AWAY = (SQLAlchemyError, RedisError, OSError)


@dataclass(frozen=True, slots=True)
class Attendance:
    slot: Slot
    pulse: PulseWriter


def attend(home: Path, role: str, parts: Mapping[str, float], monotonic: Callable[[], float]) -> Attendance:
    """``parts``: what must pass again and again, with the longest pause each takes by itself, in seconds.

    Before anything is counted: what this process and its forked children count then lies in the slot. Raises
    ``SettingsError`` where the home cannot be written.
    """
    try:
        slot = take_slot(home, role)
    except OSError as error:
        raise SettingsError((f"COACHSYNC_HOME: {home} cannot be written ({error.strerror}); name another",)) from error
    _count_in(slot.folder)
    pauses = {name: Part(every) for name, every in {WATCH: _LOOK_LASTS, **parts}.items()}
    return Attendance(
        slot, PulseWriter(slot.folder, Pulse(os.getpid(), socket.gethostname(), monotonic(), pauses, {}), monotonic)
    )


def _count_in(folder: Path) -> None:
    """The library would choose at its import; the slot is known later. Each child has files of its own."""
    hand_down("PROMETHEUS_MULTIPROC_DIR", str(folder))
    values.ValueClass = values.MultiProcessValue()
    _make_room(folder)
    os.register_at_fork(after_in_child=partial(_make_room, folder))


def _make_room(folder: Path) -> None:
    """The files are memory: one that finds the disk full at its first use would kill the process (SIGBUS).

    Where there is no room now, this process counts for itself alone.
    """
    try:
        for kind in _KINDS:
            (folder / f"{kind}_{os.getpid()}.db").write_bytes(bytes(_ROOM))
    except OSError as error:
        for kind in _KINDS:
            (folder / f"{kind}_{os.getpid()}.db").unlink(missing_ok=True)
        values.ValueClass = values.MutexValue
        _log.warning("metrics_not_kept", error=repr(error)[:300])


class Watch(threading.Thread):
    """Looks every two seconds whether what this process needs can be reached, and says so. Dies with the process.

    A thread of its own: a process that waits for a broker in the middle of its work is still seen to live.
    """

    def __init__(
        self,
        attendance: Attendance,
        needs: Mapping[str, Callable[[], object]],
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="watch", daemon=True)
        self._folder = attendance.slot.folder
        self._pulse = attendance.pulse
        self._needs = needs
        self._beside = beside
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(LOOKS_EVERY):
            try:
                self.run_once()
            except Exception as error:  # noqa: BLE001 - it looks again; where that is no help the probe says so
                _log.error("watch_failed", error=repr(error)[:300])

    def run_once(self) -> None:
        forget_dead(self._folder)
        problems = {what: problem for what, reach in self._needs.items() if (problem := _problem(reach))}
        self._pulse.lacks(problems)
        self._beside()
        self._pulse.passed(WATCH)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join(LOOKS_EVERY)  # a look at a server that hangs holds no stop up


def forget_dead(folder: Path) -> None:
    """What a child had under way when it died is under way no more; what it has counted needs no room to grow."""
    for file in folder.glob("*_*.db"):
        if lives(int(file.stem.rpartition("_")[2])):
            continue
        if file.name.startswith("gauge_live"):
            file.unlink(missing_ok=True)
        elif file.stat().st_size > (used := _used(file)):
            os.truncate(file, used)


def _used(file: Path) -> int:
    """The library's first four bytes say it; of a file of which nothing is used it reads eight."""
    with file.open("rb") as opened:
        return max(int.from_bytes(opened.read(4), sys.byteorder), 8)


def _problem(reach: Callable[[], object]) -> str:
    try:
        reach()
    except AWAY as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return ""
