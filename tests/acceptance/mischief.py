"""What a storm does to an installation: each strikes at once, and what lasts says how it is lifted."""

import os
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path

from tests.acceptance.installation import Installation, wait_until
from tests.acceptance.nodes import ProcessContainer
from tests.acceptance.process_tree import descendants

Lift = Callable[[], None]
NO_ROOM = 4_096  # bytes that a file may have: none of the database's, nor its log's, can take any more


def kill(process: ProcessContainer) -> None:
    """With all its children, as an out-of-memory killer or a power cut does."""
    family = descendants(process.pid)
    process.kill()
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_a_child(process: ProcessContainer) -> None:
    """One of a worker's processes, in the middle of a chunk perhaps."""
    for pid in list(descendants(process.pid))[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def freeze(process: ProcessContainer, installation: Installation) -> Lift:
    """The whole family stops where it is, and knows nothing of it when it goes on.

    Not within a transaction of SQLite's, where nobody else could write until it goes on.
    """
    family = [process.pid, *descendants(process.pid)]

    def stops_outside_of_a_transaction() -> bool:
        _send(family, signal.SIGSTOP)
        if _can_be_written(installation.config.database_url):
            return True
        _send(family, signal.SIGCONT)
        return False

    wait_until(stops_outside_of_a_transaction, f"{process.name} is stopped", seconds=90)
    return lambda: _send(family, signal.SIGCONT)


def fill_the_disk(installation: Installation) -> Lift:
    """For all our processes: no file grows any more. SQLite takes it for what it takes a used-up quota for."""
    _limit(installation, NO_ROOM)
    return lambda: _limit(installation, resource.RLIM_INFINITY)


def freeze_the_broker(installation: Installation) -> Lift:
    """It keeps its connections and answers nothing."""
    installation.valkey.freeze()
    return installation.valkey.thaw


def largest(process: ProcessContainer) -> int:
    """Bytes of memory that the largest of its family holds."""
    page = os.sysconf("SC_PAGE_SIZE")
    return max(_resident(pid) * page for pid in [process.pid, *descendants(process.pid)])


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


def _send(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _limit(installation: Installation, size: int) -> None:
    ours = [one for name, one in installation.started.items() if name != "sandbox" and one.status == "running"]
    for pid in [pid for process in ours for pid in [process.pid, *descendants(process.pid)]]:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _can_be_written(url: str) -> bool:
    if not url.startswith("sqlite"):
        return True
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0.3, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
        return True
