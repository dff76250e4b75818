"""What a process says of itself, in a file of its slot: which of its parts have passed when, and what it lacks.

Told and read on one machine, by its monotonic clock, which all processes share: neither the database nor the broker is
asked, and no clock that somebody sets can make a process seem dead.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

_FILE = "pulse"
_LENGTH = 4096
_LONGEST_WHY = 300
_READS = 5  # a read may meet a write


@dataclass(frozen=True, slots=True)
class Part:
    """What must pass again and again; ``every`` is the longest pause it takes by itself, in seconds."""

    every: float
    passed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """``lacks``: what it needs and cannot reach, and why."""

    pid: int
    host: str
    began_at: float
    parts: Mapping[str, Part]
    lacks: Mapping[str, str]


class PulseWriter:
    """This process's own; threads may share it. A part that is not named before has a pause of none."""

    def __init__(self, folder: Path, pulse: Pulse, monotonic: Callable[[], float]) -> None:
        self._file = os.open(folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pulse = pulse
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._write()

    def passed(self, name: str) -> None:
        with self._lock:
            part = self._pulse.parts.get(name, Part(0.0))
            parts = {**self._pulse.parts, name: replace(part, passed_at=self._monotonic())}
            self._pulse = replace(self._pulse, parts=parts)
            self._write()

    def lacks(self, problems: Mapping[str, str]) -> None:
        with self._lock:
            self._pulse = replace(self._pulse, lacks={what: why[:_LONGEST_WHY] for what, why in problems.items()})
            self._write()

    def _write(self) -> None:
        """In place, and always as long: a full disk must not make a process seem dead, still less end it."""
        with suppress(OSError):
            os.pwrite(self._file, json.dumps(asdict(self._pulse)).encode().ljust(_LENGTH), 0)


def read_pulse(folder: Path) -> Pulse | None:
    """None where the process has not said anything yet, or nothing that this program understands."""
    for _ in range(_READS):
        try:
            told: dict[str, Any] = json.loads((folder / _FILE).read_bytes())
            parts = {name: Part(**part) for name, part in told.pop("parts").items()}
            return Pulse(**told, parts=parts)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, LookupError, AttributeError):
            continue
    return None
