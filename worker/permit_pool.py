"""Permits for many coroutines of one process: whoever waits is served by one round trip to the limiter.

``take`` and ``settle`` are local; a pump carries all that was settled and all that is wanted in one exchange.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from api_adapter.rate_limit.permits import Grant, Permit, RateLimiter, Settled, Why
from schemas.lanes import Lane

LEAST_PAUSE = 0.03
GATHERING = 0.005  # seconds between two exchanges, in which what ends and what is wanted comes together
MOST_SPREAD = 0.02  # seconds that processes are kept apart which wait for the same moment


@dataclass(frozen=True, slots=True, eq=False)
class _Asker:
    """Waits until ``deadline``; ``permit`` is None for one that was turned away."""

    deadline: float
    permit: asyncio.Future[Permit | None]


class PermitPool:
    """One remote's permits for one lane, while a chunk runs. ``uniform`` gives [0, 1) and spreads the askers.

    ``opens_at`` is when, by the loop's clock, asking again makes sense: who cannot wait so long is turned away at once.
    ``granted``, ``refused`` and the seconds ``waited`` by all askers together are what it came to.
    """

    def __init__(self, limiter: RateLimiter, lane: Lane, uniform: Callable[[], float]) -> None:
        self._limiter = limiter
        self._lane = lane
        self._uniform = uniform
        self.opens_at = 0.0
        self.granted = self.refused = 0
        self.waited = 0.0
        self._waiting: deque[_Asker] = deque()
        self._settled: list[Settled] = []
        self._wake = asyncio.Event()
        self._throttled = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["PermitPool"]:
        """Pump while the block runs; at its end everything is settled."""
        pump = asyncio.create_task(self._pump())
        try:
            yield self
        finally:
            pump.cancel()
            with suppress(asyncio.CancelledError):
                await pump
            if self._settled:
                await self._limiter.exchange(self._lane, 0, self._settled)

    async def take(self, deadline: float, *, ahead: bool = False) -> Permit | None:
        """A permit, or None when the loop's clock passes ``deadline`` before one came.

        ``ahead`` of the others goes who has begun: a job that has read and may not write has cost a permit for nothing.
        """
        if self.is_shut(deadline):
            return None
        loop = asyncio.get_running_loop()
        began = loop.time()
        asker = _Asker(deadline, loop.create_future())
        (self._waiting.appendleft if ahead else self._waiting.append)(asker)
        self._wake.set()
        taken = False
        try:
            await asyncio.wait((asker.permit,), timeout=max(0.0, deadline - began))
            taken = asker.permit.done()
        finally:
            self.waited += loop.time() - began
            if not taken:
                self._leave(asker)
        return self._counted(asker.permit.result() if taken else None)

    def is_shut(self, deadline: float) -> bool:
        """Whether no permit will come before ``deadline``."""
        return deadline <= self.opens_at

    def settle(self, settled: Settled) -> None:
        self._settled.append(settled)
        self._wake.set()
        if settled.throttled:
            self._throttled.set()

    def _counted(self, permit: Permit | None) -> Permit | None:
        if permit is None:
            self.refused += 1
        else:
            self.granted += 1
        return permit

    def _leave(self, asker: "_Asker") -> None:
        """Give up waiting; a permit that came in the same moment is given back."""
        if not asker.permit.done():
            self._waiting.remove(asker)
        elif permit := asker.permit.result():
            self.settle(Settled(permit, sent=False))

    async def _pump(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting or self._settled:
                await self._pause(await self._exchange())

    async def _exchange(self) -> Grant:
        settled, self._settled = self._settled, []
        self._throttled.clear()
        want = len(self._waiting)
        exchange = asyncio.ensure_future(self._limiter.exchange(self._lane, want, settled))
        try:
            grant = await asyncio.shield(exchange)
        except asyncio.CancelledError:
            self._hand_out(await exchange)  # what was granted is not lost with the pump
            raise
        self._hand_out(grant)
        if want:  # to who wants nothing the limiter names no time
            self._turn_away(grant)
        return grant

    def _hand_out(self, grant: Grant) -> None:
        for permit in grant.permits:
            if self._waiting:
                self._waiting.popleft().permit.set_result(permit)
            else:
                self._settled.append(Settled(permit, sent=False))

    def _turn_away(self, grant: Grant) -> None:
        self.opens_at = asyncio.get_running_loop().time() + grant.retry_in.total_seconds()
        for asker in [asker for asker in self._waiting if self.is_shut(asker.deadline)]:
            self._waiting.remove(asker)
            asker.permit.set_result(None)

    async def _pause(self, grant: Grant) -> None:
        """Until asking again makes sense, or something was settled that must not wait so long."""
        if not self._waiting or grant.why is Why.GRANTED:
            with suppress(TimeoutError):  # what stops the whole fleet is not kept back
                async with asyncio.timeout(GATHERING):
                    await self._throttled.wait()
            return
        seconds = max(LEAST_PAUSE, grant.retry_in.total_seconds())
        seconds += min(MOST_SPREAD, 0.1 * seconds) * self._uniform()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._is_pressing(grant.why):
                    self._wake.clear()
                    await self._wake.wait()

    def _is_pressing(self, why: Why) -> bool:
        """A throttled answer stops the whole fleet; where room in flight is lacking, each settlement makes some."""
        return self._throttled.is_set() or (why is Why.IN_FLIGHT and bool(self._settled))
