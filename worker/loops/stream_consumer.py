"""The stream consumer takes events of the roster from a Redis stream: each is acknowledged once it is committed.

An entry's field ``event`` (or ``data``) holds one event as CloudEvents JSON. All our processes share one consumer
group, so that each entry is for one of them; what a process had taken when it died, another takes over.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

from redis import ConnectionError as ConnectionFailed
from redis import Redis, ResponseError
from redis import TimeoutError as TimedOut

from worker.configuration.oversight import GuardOptions
from worker.intake.roster_delivery import Door, Entry, deliver
from worker.log import get_logger
from worker.store.engine import Database

GROUP = "coachsync"
PAGE = 500
DEAD_AFTER = timedelta(minutes=1)  # above what a page takes: its reader has died, or will find all of it taken
FORGOTTEN_AFTER = timedelta(days=1)
_FIELDS = (b"event", b"data")
_MS = timedelta(milliseconds=1)
_log = get_logger(__name__)
_Entries = list[tuple[bytes, dict[bytes, bytes] | None]]


@dataclass(slots=True)
class StreamConsumer:
    """``name`` is this process's own, and no other's."""

    database: Database
    redis: Redis
    stream: str
    guard: GuardOptions
    name: str
    dead_after: timedelta = DEAD_AFTER
    forgotten_after: timedelta = FORGOTTEN_AFTER
    _joined: bool = field(default=False, init=False)

    def run_once(self) -> int:
        """Returns how many entries were dealt with. A broker that is away is waited for."""
        try:
            return self._round()
        except (ConnectionFailed, TimedOut):
            return 0
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            self._joined = False  # the stream was deleted, or its server has lost its memory
            return 0

    def _round(self) -> int:
        if not self._joined:
            self._join()
        entries = self._not_done() or [*self._of_the_dead(), *self._new()]
        if not entries:
            return 0
        door = Door("stream", f"events of the roster from the stream {self.stream}")
        deliver(self.database, [_entry(*one) for one in entries], door, self.guard)
        self.redis.xack(self.stream, GROUP, *(id_ for id_, _ in entries))
        return len(entries)

    def _join(self) -> None:
        try:
            self.redis.xgroup_create(self.stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        self._forget_the_dead()
        self._joined = True

    def _not_done(self) -> _Entries:
        """What this process has taken and not acknowledged: the database was away, or the acknowledgement was lost."""
        return self._read("0")

    def _of_the_dead(self) -> _Entries:
        claimed = self.redis.xautoclaim(
            self.stream, GROUP, self.name, min_idle_time=int(self.dead_after / _MS), count=PAGE
        )
        return cast("_Entries", cast("Sequence[Any]", claimed)[1])

    def _new(self) -> _Entries:
        return self._read(">")

    def _read(self, after: str) -> _Entries:
        found = cast("Sequence[Any]", self.redis.xreadgroup(GROUP, self.name, {self.stream: after}, count=PAGE))
        return found[0][1] if found else []

    def _forget_the_dead(self) -> None:
        """Those who have nothing left to take over."""
        for one in cast("Sequence[dict[str, Any]]", self.redis.xinfo_consumers(self.stream, GROUP)):
            if one["pending"] == 0 and one["idle"] * _MS > self.forgotten_after:
                self.redis.xgroup_delconsumer(self.stream, GROUP, one["name"])


def _entry(id_: bytes, fields: dict[bytes, bytes] | None) -> Entry:
    name = id_.decode()
    if not fields:
        return Entry(name, "", "it was deleted from the stream before it was read")
    for known in _FIELDS:
        if known in fields:
            return Entry(name, fields[known])
    there = ", ".join(key.decode(errors="backslashreplace") for key in fields)
    return Entry(name, repr(fields), f"it has no field event or data; it has {there}")
