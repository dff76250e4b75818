"""Keeps one child running: starts it, asks whether it is ready, starts it again when it dies, stops it."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, assert_never

from worker.embedded.child import Child, ChildSpec, Ended, Forward
from worker.embedded.guard import Guard
from worker.embedded.restarts import REFUSAL, Deaths, GiveUp, RestartIn, RestartPolicy, count_death, decide_restart
from worker.log import get_logger

log = get_logger(__name__)
_LOOK_EVERY = 0.05
REFUSES = "error: "  # how the line begins with which our commands refuse


@dataclass(frozen=True, slots=True)
class Stopped:
    """Asked to stop, and all have."""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The child ``name`` kept dying. All others have been stopped."""

    name: str
    reason: str
    last_lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The child ``name`` cannot run as it is asked to; ``reason`` is its own word. All others have been stopped."""

    name: str
    reason: str


Ending = Stopped | GaveUp | Refused


class Keeper:
    """``end`` is the whole supervisor's: it gets a ``GaveUp`` or ``Refused`` when this child cannot be kept running."""

    def __init__(
        self, spec: ChildSpec, guard: Guard, forward: Forward, policy: RestartPolicy, end: asyncio.Future[Ending]
    ) -> None:
        self.spec = spec
        self.ready = asyncio.Event()
        self._guard = guard
        self._forward = forward
        self._policy = policy
        self._end = end
        self._child: Child | None = None
        self._stopping = asyncio.Event()
        self._said_ready = False
        self._held_back: str | None = None
        self._task = self._watched(self._keep())

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ask it, wait its grace or until somebody is in a hurry, kill it."""
        self._stopping.set()
        if self._child:
            self._child.ask_to_stop()
        hurried = asyncio.ensure_future(hurry.wait())
        grace = self.spec.grace.total_seconds()
        await asyncio.wait({self._task, hurried}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        while not self._task.done():
            if self._child:
                log.warning("child_killed", child=self.spec.name)
                self._child.kill()
            await asyncio.wait({self._task}, timeout=_LOOK_EVERY)

    async def _keep(self) -> None:
        deaths = Deaths()
        while not self._stopping.is_set():
            ended = await self._live()
            if self._stopping.is_set():
                return
            if ended.status == REFUSAL:
                self._refuse(ended)
                return
            deaths = count_death(deaths, ended.lived, self._policy)
            match decide_restart(deaths, self._policy):
                case RestartIn(wait):
                    log.warning("child_died", child=self.spec.name, how=ended.how, restart_in=wait)
                    await self._rest(wait)
                case GiveUp(quick_deaths):
                    self._give_up(quick_deaths, ended)
                    return
                case decision:
                    assert_never(decision)

    async def _live(self) -> Ended:
        """One life, from start to end. One that never got ready counts as no life at all."""
        self._said_ready = False
        try:
            child = await Child.start(self.spec, self._guard, self._hear)
        except OSError as error:
            return Ended(None, f"not started: {error}", timedelta(0), ())
        self._child = child
        if self._stopping.is_set():
            child.ask_to_stop()
        self.ready.clear()
        asking = self._watched(self._ask_ready(child))
        ended = await child.ended()
        asking.cancel()
        self._child = None
        if ended.status != REFUSAL or self._stopping.is_set() or self._end.done():
            self._let_go()
        return ended if self.ready.is_set() else replace(ended, lived=timedelta(0))

    def _hear(self, name: str, line: str) -> None:
        """What may be the word of a refusal is held back: who ended with it is told with it, once."""
        if self.spec.ready_words and self.spec.ready_words in line:
            self._said_ready = True
        self._let_go()
        if line.startswith(REFUSES):
            self._held_back = line
        else:
            self._forward(name, line)

    def _let_go(self) -> None:
        line, self._held_back = self._held_back, None
        if line is not None:
            with suppress(BrokenPipeError):  # nobody reads our output any more
                self._forward(self.spec.name, line)

    async def _ask_ready(self, child: Child) -> None:
        within, since = self.spec.ready_within, time.monotonic()
        while not await self._is_ready(child):
            if within and time.monotonic() - since > within.total_seconds():
                log.warning("child_not_ready", child=self.spec.name, within=within)
                child.kill()
                return
            await asyncio.sleep(_LOOK_EVERY)
        log.info("child_ready", child=self.spec.name, pid=child.pid)
        self.ready.set()

    async def _is_ready(self, child: Child) -> bool:
        if self.spec.ready_words:
            return self._said_ready
        return self.spec.ready is None or await asyncio.to_thread(self.spec.ready, child.pid)

    async def _rest(self, wait: timedelta) -> None:
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({stopping}, timeout=wait.total_seconds())
        stopping.cancel()

    def _give_up(self, quick_deaths: int, ended: Ended) -> None:
        reason = f"{self.spec.name} died {quick_deaths} times in a row just after its start, at last with {ended.how}"
        log.error("child_given_up", child=self.spec.name, how=ended.how, quick_deaths=quick_deaths)
        self._end_all(GaveUp(self.spec.name, reason, ended.last_lines))

    def _refuse(self, ended: Ended) -> None:
        reason = ended.last_lines[-1].removeprefix(REFUSES) if ended.last_lines else ended.how
        log.error("child_refused", child=self.spec.name)
        self._end_all(Refused(self.spec.name, reason))

    def _end_all(self, ending: Ending) -> None:
        if not self._end.done():
            self._end.set_result(ending)

    def _watched(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A bug in it ends the supervisor, instead of leaving a child that nobody looks after."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._end_on_bug)
        return task

    def _end_on_bug(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or not (bug := task.exception()):
            return
        log.error("keeper_failed", child=self.spec.name, error=repr(bug))
        if not self._end.done():
            self._end.set_exception(bug)
