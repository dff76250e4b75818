"""What processes and all below them have used, as the kernel counts it."""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.process_tree import descendants

_TICKS = os.sysconf("SC_CLK_TCK")
_KILOBYTES = 1024


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of each tree; of those that have ended, once their parent has asked how."""
    return sum(_ticks(one) for pid in pids for one in (pid, *descendants(pid))) / _TICKS


def pss_megabytes(pids: Iterable[int]) -> float:
    """Memory, each shared page divided by those who share it."""
    return sum(_pss(one) for pid in pids for one in (pid, *descendants(pid))) / _KILOBYTES


@dataclass(slots=True)
class Peak:
    megabytes: float = 0.0


@contextmanager
def peak_memory(pids: Sequence[int], every: float = 0.5) -> Iterator[Peak]:
    """The most that the trees had together at any look while the block ran."""
    peak, stop = Peak(), threading.Event()

    def look() -> None:
        while True:
            peak.megabytes = max(peak.megabytes, pss_megabytes(pids))
            if stop.wait(every):
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
        peak.megabytes = max(peak.megabytes, pss_megabytes(pids))


def _ticks(pid: int) -> int:
    """Fields 14 to 17 of ``stat``: its own time, and that of children it has buried."""
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return sum(int(one) for one in fields[11:15])


def _pss(pid: int) -> int:
    lines = _read(pid, "smaps_rollup").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
