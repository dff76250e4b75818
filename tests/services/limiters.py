"""Both limiters on a clock that a test moves: the twin, and the shared one with only its script's TIME replaced."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import redis
from redis.asyncio import Redis

from api_adapter.rate_limit.local import LocalLimiter
from api_adapter.rate_limit.permits import Grant, RateLimiter, Settled, Usage
from api_adapter.rate_limit.policy import Policy, Seed
from api_adapter.rate_limit.shared import SharedLimiter
from schemas.lanes import Lane

START = 1_700_000_000.0
_CLOCK = "test-clock"


@dataclass
class SteppedClock:
    now: float = START

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 3)


class SteppedRedis(Redis):
    """Runs scripts with ``TIME`` read from a key, in TIME's own form, and counts that no other time ends."""

    def register_script(self, script: Any) -> Any:
        stepped = script.replace("redis.call('TIME')", f"redis.call('LRANGE', '{_CLOCK}', 0, 1)")
        assert stepped != script
        return super().register_script(stepped.replace("digits(2 * longest)", "digits(math.max(2 * longest, 3600000))"))


@dataclass
class Bench:
    """One remote's limiter, its fleet and its clock; each call is one exchange."""

    clock: SteppedClock = field(default_factory=SteppedClock)
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def limiter(self, policy: Policy, *, seed: Seed | None = None) -> RateLimiter:
        """Another process of the fleet."""
        raise NotImplementedError

    def forget(self) -> None:
        """The memory is lost, as when the broker is wiped."""
        raise NotImplementedError

    def entries(self) -> int:
        """How much is remembered."""
        raise NotImplementedError

    def ask(self, limiter: RateLimiter, want: int, settled: Sequence[Settled] = (), *, lane: Lane = Lane.BULK) -> Grant:
        return self.runner.run(limiter.exchange(lane, want, settled))

    def settle(self, limiter: RateLimiter, *settled: Settled) -> None:
        self.ask(limiter, 0, settled)

    def usage(self, limiter: RateLimiter) -> Usage:
        return self.runner.run(limiter.usage())

    def forget_cooldown(self, limiter: RateLimiter) -> timedelta:
        return self.runner.run(limiter.forget_cooldown())

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def close(self) -> None:
        self.runner.close()


@dataclass
class LocalBench(Bench):
    twin: LocalLimiter | None = None

    def limiter(self, policy: Policy, *, seed: Seed | None = None) -> RateLimiter:
        if self.twin is None:
            self.twin = LocalLimiter("acme", policy, self.clock, seed=seed)
        self.twin.policy = policy
        return self.twin

    def forget(self) -> None:
        assert self.twin
        self.twin._memory = None
        self.advance(0.001)

    def entries(self) -> int:
        assert self.twin
        assert self.twin._memory
        return sum(len(window.slots) for window in self.twin._memory.windows.values())


@dataclass
class SharedBench(Bench):
    url: str = ""
    clients: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __post_init__(self) -> None:
        self.server = redis.Redis.from_url(self.url)
        self._set_clock()

    def limiter(self, policy: Policy, *, seed: Seed | None = None) -> RateLimiter:
        client = SteppedRedis.from_url(self.url)
        self.clients.push_async_callback(client.aclose)
        return SharedLimiter(client, "acme", policy, seed=seed, clock=self.clock)

    def forget(self) -> None:
        self.server.flushall()
        self.advance(0.001)

    def entries(self) -> int:
        return self.server.hlen("coachsync:limiter:1:{acme}:counted")

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._set_clock()

    def close(self) -> None:
        self.runner.run(self.clients.aclose())
        self.server.close()
        super().close()

    def _set_clock(self) -> None:
        milliseconds = round(self.clock.now * 1000)
        with self.server.pipeline() as pipe:
            pipe.delete(_CLOCK)
            pipe.rpush(_CLOCK, milliseconds // 1000, milliseconds % 1000 * 1000)
            pipe.execute()


@pytest.fixture
def local_bench() -> Iterator[LocalBench]:
    with closing(LocalBench()) as bench:
        yield bench


@pytest.fixture
def shared_bench(valkey: str) -> Iterator[SharedBench]:
    with closing(SharedBench(url=valkey)) as bench:
        yield bench


@pytest.fixture(params=["local", "shared"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Every claim about the contract is made of both implementations."""
    chosen: Bench = request.getfixturevalue(f"{request.param}_bench")
    return chosen
