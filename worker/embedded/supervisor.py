"""Runs the processes of ``coachsync up``: started in order, restarted when they die, stopped in reverse order.

The first SIGINT, SIGTERM or SIGHUP stops all with their grace; the second kills at once. If the supervisor itself is
killed nothing stays behind (``parent_death``, ``guard``). Runs on the main thread's event loop.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from signal import Signals
from typing import Any

from worker.embedded.child import ChildSpec, Forward
from worker.embedded.guard import Guard
from worker.embedded.keeper import Ending, Keeper, Stopped
from worker.embedded.restarts import DEFAULT_POLICY, RestartPolicy
from worker.log import get_logger

log = get_logger(__name__)
_SIGNALS = (Signals.SIGINT, Signals.SIGTERM, Signals.SIGHUP)


class Supervisor:
    """``forward`` gets every line a child writes, with the child's name; ``on_ready`` is called once all are ready."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        forward: Forward,
        on_ready: Callable[[], None] = lambda: None,
        policy: RestartPolicy = DEFAULT_POLICY,
    ) -> None:
        self._specs = specs
        self._forward = forward
        self._on_ready = on_ready
        self._policy = policy

    async def run(self) -> Ending:
        """Until it is asked to stop or has to give up; either way no child is left when it returns."""
        loop = asyncio.get_running_loop()
        asked = _Asked(loop.create_future(), asyncio.Event())
        heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # as nohup has it
        for number in heard:
            loop.add_signal_handler(number, asked.by_signal, number)
        try:
            with Guard() as guard:
                return await self._run(asked, guard)
        finally:
            for number in heard:
                loop.remove_signal_handler(number)

    async def _run(self, asked: "_Asked", guard: Guard) -> Ending:
        keepers: list[Keeper] = []
        try:
            for spec in self._specs:
                keepers.append(Keeper(spec, guard, self._forward, self._policy, asked.end))
                if spec.ready_within is not None:
                    await _first_of(keepers[-1].ready.wait(), asked.end)
                if asked.end.done():
                    break
            await _first_of(_all_ready(keepers), asked.end)
            if not asked.end.done():
                self._on_ready()
            return await asked.end
        finally:
            for keeper in reversed(keepers):
                await keeper.stop(asked.hurry)


@dataclass(frozen=True, slots=True)
class _Asked:
    """``end`` is set once, by the first signal or by a child that is given up; the next signal is ``hurry``."""

    end: asyncio.Future[Ending]
    hurry: asyncio.Event

    def by_signal(self, number: Signals) -> None:
        if self.end.done():
            log.warning("supervisor_hurries", signal=number.name)
            self.hurry.set()
        else:
            log.info("supervisor_stops", signal=number.name)
            self.end.set_result(Stopped())


async def _all_ready(keepers: Sequence[Keeper]) -> None:
    for keeper in keepers:
        await keeper.ready.wait()


async def _first_of(event: Coroutine[Any, Any, Any], end: asyncio.Future[Ending]) -> None:
    waiting = asyncio.ensure_future(event)
    await asyncio.wait({waiting, end}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
