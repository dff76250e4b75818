"""The bare loop on httpx's own transport."""

from collections.abc import Sequence

from benchmarks.throughput.tasks.bare import BareLoop
from benchmarks.throughput.updates import Update

_loop = BareLoop(None)


def hand_in(updates: Sequence[Update]) -> None:
    _loop.send(updates)
