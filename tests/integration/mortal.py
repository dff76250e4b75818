"""A process that dies at one of its commits: just before it, or just after.

``deaths`` gives a walk one mortal store after the other, each of which lives to one moment more, and ends with the
first that survives. Who is dead writes nothing more, whatever its `finally` blocks try.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlmodel import Session

from worker.store.engine import Database

MOST = 200


class Died(Exception):  # noqa: N818 - what happened to the process
    pass


@dataclass
class Mortal(Database):
    """``moments``: how many it lives to see; each commit has two, one on either side of it."""

    store: Database
    moments: int
    dead: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.url, self.engine, self._writer = self.store.url, self.store.engine, self.store._writer

    @contextmanager
    def write(self) -> Iterator[Session]:
        if self.dead:
            raise Died
        with self.store.write() as session:
            yield session
            self._live_on()
        self._live_on()

    @contextmanager
    def read(self) -> Iterator[Session]:
        if self.dead:
            raise Died
        with self.store.read() as session:
            yield session

    def _live_on(self) -> None:
        self.moments -= 1
        self.dead = self.dead or self.moments < 0
        if self.dead:
            raise Died


def deaths(store: Database) -> Iterator[Mortal]:
    """At each moment in turn. The caller makes the same beginning each time, and sees to the survivors."""
    for moments in range(MOST):
        mortal = Mortal(store, moments)
        yield mortal
        if not mortal.dead:
            return
    raise AssertionError("it does not come to an end")
