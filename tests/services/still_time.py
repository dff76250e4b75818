"""A loop whose clock moves only where nothing is left to do but wait: no test of it takes or depends on time."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class StillLoop(asyncio.SelectorEventLoop):
    """``now`` jumps to whatever is waited for next. There is nothing outside of it: no socket, no thread."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_NeverWaits(self))

    def time(self) -> float:
        return self.now


class _NeverWaits(selectors.SelectSelector):
    def __init__(self, loop: StillLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "all wait, and nothing will ever come"
        self._loop.now += timeout
        return super().select(0)


def run(scene: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=StillLoop) as runner:
        runner.run(scene)


def now() -> float:
    return asyncio.get_running_loop().time()


def let_pass(seconds: float) -> None:
    """Time goes by though nobody waits, as on a machine that is busy elsewhere."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StillLoop)
    loop.now += seconds
