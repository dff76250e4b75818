"""The processes below a process, as the kernel knows them."""

from collections.abc import Iterable
from pathlib import Path


def descendants(pid: int) -> dict[int, str]:
    """What each of them runs, by pid: children, their children and so on."""
    found: dict[int, str] = {}
    for child in _children(pid):
        found |= {child: _command(child)} | descendants(child)
    return found


def living(pids: Iterable[int]) -> dict[int, str]:
    return {pid: _command(pid) for pid in pids if _lives(pid)}


def _lives(pid: int) -> bool:
    """A zombie does not: it is dead, only nobody has asked yet how it ended."""
    status = _read(pid, "stat").rpartition(")")[2].split()
    return bool(status) and status[0] != "Z"


def _children(pid: int) -> list[int]:
    return [int(child) for child in _read(pid, f"task/{pid}/children").split()]


def _command(pid: int) -> str:
    return _read(pid, "cmdline").replace("\0", " ").strip()


def _read(pid: int, name: str) -> str:
    """Nothing, if the process has just ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
