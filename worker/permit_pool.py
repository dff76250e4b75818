"""Permits for many coroutines of one process: whoever waits is served by one round trip to the limiter.

``take`` and ``settle`` are local; a pump carries all that was settled and all that is wanted in one exchange.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from api_adapter.rate_limit.permits import Grant, Permit, RateLimiter, Settled, Why
from schemas.lanes import Lane

LEAST_PAUSE = 0.01


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

    async def take(self, deadline: float) -> Permit | None:
        """A permit, or None when the loop's clock passes ``deadline`` before one came."""
        future: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._wake.set()
        try:
            async with asyncio.timeout_at(deadline):
                return await future
        except TimeoutError:
            return None
        finally:
            if future.cancelled() or not future.done():
                with suppress(ValueError):
                    self._waiting.remove(future)

    def settle(self, settled: Settled) -> None:
        self._settled.append(settled)
        self._wake.set()

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
            while self._waiting and self._waiting[0].done():
                self._waiting.popleft()
            if self._waiting:
                self._waiting.popleft().set_result(permit)
            else:
                self._settled.append(Settled(permit, sent=False))

    async def _pause(self, grant: Grant) -> None:
        if not self._waiting:
            await asyncio.sleep(0)
            return
        seconds = max(LEAST_PAUSE, grant.retry_in.total_seconds()) * (1 + 0.1 * self._uniform())
        if grant.why is not Why.IN_FLIGHT:
            await asyncio.sleep(seconds)
            return
        self._wake.clear()
        with suppress(TimeoutError):
            while not self._settled:  # each settled permit makes room in flight
                await asyncio.wait_for(self._wake.wait(), seconds)
                self._wake.clear()
