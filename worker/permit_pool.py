"""Permits for many coroutines of one process: whoever waits is served by one round trip to the limiter.

``take`` and ``settle`` are local; a pump carries all that was settled and all that is wanted in one exchange.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from api_adapter.rate_limit.permits import Grant, Permit, RateLimiter, Settled, Why
from schemas.lanes import Lane

LEAST_PAUSE = 0.03
MOST_SPREAD = 0.02  # seconds that processes are kept apart which wait for the same moment


class PermitPool:
    """One remote's permits for one lane, while a chunk runs. ``uniform`` gives [0, 1) and spreads the askers."""

    def __init__(self, limiter: RateLimiter, lane: Lane, uniform: Callable[[], float]) -> None:
        self._limiter = limiter
        self._lane = lane
        self._uniform = uniform
        self._waiting: deque[asyncio.Future[Permit]] = deque()
        self._settled: list[Settled] = []
        self._wake = asyncio.Event()

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
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Permit] = loop.create_future()
        (self._waiting.appendleft if ahead else self._waiting.append)(future)
        self._wake.set()
        permit = None
        try:
            await asyncio.wait((future,), timeout=max(0.0, deadline - loop.time()))
            permit = future.result() if future.done() else None
        finally:
            if permit is None:
                self._leave(future)
        return permit

    def settle(self, settled: Settled) -> None:
        self._settled.append(settled)
        self._wake.set()

    def _leave(self, future: "asyncio.Future[Permit]") -> None:
        """Give up waiting; a permit that came in the same moment is given back."""
        if future.done():
            self.settle(Settled(future.result(), sent=False))
        else:
            self._waiting.remove(future)

    async def _pump(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting or self._settled:
                await self._pause(await self._exchange())

    async def _exchange(self) -> Grant:
        settled, self._settled = self._settled, []
        exchange = asyncio.ensure_future(self._limiter.exchange(self._lane, len(self._waiting), settled))
        try:
            grant = await asyncio.shield(exchange)
        except asyncio.CancelledError:
            self._hand_out(await exchange)  # what was granted is not lost with the pump
            raise
        self._hand_out(grant)
        return grant

    def _hand_out(self, grant: Grant) -> None:
        for permit in grant.permits:
            if self._waiting:
                self._waiting.popleft().set_result(permit)
            else:
                self._settled.append(Settled(permit, sent=False))

    async def _pause(self, grant: Grant) -> None:
        """Until asking again makes sense, or something was settled that must not wait so long."""
        if not self._waiting or grant.why is Why.GRANTED:
            await asyncio.sleep(0)
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
        return any(settled.throttled for settled in self._settled) or (why is Why.IN_FLIGHT and bool(self._settled))
