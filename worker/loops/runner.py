"""Runs the loops, each at its own pace, until told to stop. A loop that fails is logged and runs again."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from worker.log import get_logger

_log = get_logger(__name__)


class Loop(Protocol):
    def run_once(self) -> int:
        """One round; returns how much it did."""
        ...


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A loop runs every ``busy`` while it finds work; with none the pause doubles, up to ``idle``."""

    name: str
    loop: Loop
    busy: timedelta
    idle: timedelta


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a loop: the ``seconds`` it took, and what it did."""

    loop: str
    seconds: float
    done: int
    failed: bool


def run_loops(
    loops: Sequence[Scheduled],
    stop: threading.Event,
    monotonic: Callable[[], float],
    tell: Callable[[Round], None] = lambda _: None,
) -> None:
    """Run until ``stop`` is set; returns within one round. ``tell`` is told of each."""
    pauses = {each.name: each.busy for each in loops}
    due = dict.fromkeys(pauses, 0.0)
    while not stop.is_set():
        for each in loops:
            if due[each.name] <= monotonic():
                began = monotonic()
                done = _run(each)
                tell(Round(each.name, monotonic() - began, done or 0, failed=done is None))
                pauses[each.name] = each.busy if done else min(each.idle, pauses[each.name] * 2)
                due[each.name] = monotonic() + pauses[each.name].total_seconds()
        stop.wait(max(0.0, min(due.values()) - monotonic()))


def _run(each: Scheduled) -> int | None:
    """None where it failed."""
    try:
        return each.loop.run_once()
    except Exception as error:  # noqa: BLE001 - one loop's trouble must not end the others
        _log.error("loop_failed", loop=each.name, error=repr(error)[:300])
        return None
