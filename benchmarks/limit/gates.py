"""The limiters: each lets a coroutine through when a request may be sent, as its documentation has it be used."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from pyrate_limiter import Duration, Limiter, Rate, RedisBucket
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from api_adapter.rate_limit.permits import Settled
from api_adapter.rate_limit.policy import Policy, parse_rate_limit
from api_adapter.rate_limit.shared import SharedLimiter
from schemas.lanes import Lane
from worker.clock import uniform
from worker.permit_pool import PermitPool

Gate = Callable[[], AbstractAsyncContextManager[None]]
PATIENCE = 60.0  # seconds
LOOK_AGAIN = 0.01


@asynccontextmanager
async def ours(broker: str, per_second: int) -> AsyncIterator[Gate]:
    policy = Policy(parse_rate_limit(f"{per_second}/second"), max_in_flight=1_000)
    async with AsyncRedis.from_url(broker) as client:
        pool = PermitPool(SharedLimiter(client, "bench", policy), Lane.BULK, uniform)

        @asynccontextmanager
        async def gate() -> AsyncIterator[None]:
            while True:
                permit = await pool.take(asyncio.get_running_loop().time() + PATIENCE)
                if permit is None:
                    continue
                if time.monotonic() <= permit.use_before:
                    break
                pool.settle(Settled(permit, sent=False))
            try:
                yield
            finally:
                pool.settle(Settled(permit, ended=time.monotonic()))

        async with pool.running():
            yield gate


@asynccontextmanager
async def limits(broker: str, per_second: int) -> AsyncIterator[Gate]:
    limiter = MovingWindowRateLimiter(RedisStorage(f"async+{broker}", implementation="redispy"))
    item = RateLimitItemPerSecond(per_second)

    @asynccontextmanager
    async def gate() -> AsyncIterator[None]:
        while not await limiter.hit(item, "bench"):  # noqa: ASYNC110 - nobody tells when there is room
            await asyncio.sleep(LOOK_AGAIN)
        yield

    yield gate


@asynccontextmanager
async def pyrate_limiter(broker: str, per_second: int) -> AsyncIterator[Gate]:
    client = Redis.from_url(broker)
    limiter = Limiter(RedisBucket.init([Rate(per_second, Duration.SECOND)], client, "bench"))

    @asynccontextmanager
    async def gate() -> AsyncIterator[None]:
        await limiter.try_acquire_async("bench")
        yield

    try:
        yield gate
    finally:
        client.close()


GATES = {gate.__name__: gate for gate in (ours, limits, pyrate_limiter)}
