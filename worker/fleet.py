"""What runs at this moment, asked of the broker: the workers, and each remote's limiter."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from celery import Celery
from kombu.exceptions import OperationalError
from redis import RedisError
from redis.asyncio import Redis as AsyncRedis

from api_adapter.rate_limit.permits import Usage
from api_adapter.rate_limit.policy import History
from api_adapter.rate_limit.shared import LimiterAwayError, SharedLimiter
from worker.app import HELLO
from worker.configuration.remotes import Remote
from worker.core.fingerprint import differing, fingerprint
from worker.remote_access import limiter_of
from worker.runtime import REDIS_CONNECT_TIMEOUT, REDIS_TIMEOUT, Runtime
from worker.store.heartbeats import LATELY
from worker.store.models import Heartbeat
from worker.telemetry import roll_call
from worker.telemetry.fleet import FleetCollector, Limiters

ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """``settings`` is the fingerprint of those of its remotes; both are None of a worker that does not tell."""

    settings: str | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """``workers`` by name; ``usages`` by remote, without those whose limiter could not be asked."""

    broker_error: str | None = None
    workers: Mapping[str, WorkerSeen] = field(default_factory=dict)
    usages: Mapping[str, Usage] = field(default_factory=dict)

    @property
    def processes(self) -> int | None:
        """Of all workers together, where each tells."""
        told = [worker.processes for worker in self.workers.values()]
        return None if None in told else sum(filter(None, told))


def look(runtime: Runtime, *, workers: bool = True) -> Fleet:
    """``workers``: they are asked too, which takes a second."""
    try:
        runtime.redis.ping()
        answering = answering_workers(runtime.app) if workers else {}
    except (RedisError, OperationalError) as error:
        return Fleet(broker_error=why_away(error))
    return Fleet(workers=answering, usages=asyncio.run(_usages(runtime)))


def fleet_collector(runtime: Runtime) -> FleetCollector:
    return FleetCollector(runtime.database, lambda: _limiters(runtime), time.monotonic)


def _limiters(runtime: Runtime) -> Limiters | None:
    fleet = look(runtime, workers=False)
    if fleet.broker_error:
        return None
    try:
        return Limiters(fleet.usages, roll_call.present(runtime.redis, LATELY))
    except RedisError:
        return None


def why_away(error: Exception) -> str:
    """One line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def answering_workers(app: Celery) -> dict[str, WorkerSeen]:
    """By name. Asked on a connection that ends with the question.

    One of Celery's pool would stay behind with a read under way: kombu, in every process that is forked from this one,
    waits for that read's answer before the process begins.
    """
    with app.connection_for_write() as connection:
        answers = app.control.broadcast(HELLO, reply=True, timeout=ANSWER_SECONDS, connection=connection)
    told = {name: said for answer in answers for name, said in answer.items()}
    return {name: WorkerSeen(said.get("settings"), said.get("processes")) for name, said in sorted(told.items())}


def worker_answers(app: Celery, name: str) -> bool:
    with app.connection_for_write() as connection:
        return bool(
            app.control.broadcast(
                HELLO, destination=[name], reply=True, limit=1, timeout=ANSWER_SECONDS, connection=connection
            )
        )


def strangers(loops: Iterable[Heartbeat], workers: Mapping[str, WorkerSeen], remotes: Iterable[Remote]) -> list[str]:
    """Those that run with other settings of the remotes than ours."""
    seen = {f"loops {beat.name}": beat.settings for beat in loops}
    seen |= {f"worker {name}": worker.settings for name, worker in workers.items()}
    return differing(seen, fingerprint(remotes))


def cooldown_left(runtime: Runtime, remote: Remote) -> timedelta:
    """Raises ``LimiterAwayError``."""

    async def look_at(limiter: SharedLimiter) -> timedelta:
        return (await limiter.usage()).cooldown

    return asyncio.run(_with_limiter(runtime, remote, look_at))


def forget_cooldown(runtime: Runtime, remote: Remote) -> timedelta:
    """Returns what was left of it. Raises ``LimiterAwayError``."""
    return asyncio.run(_with_limiter(runtime, remote, SharedLimiter.forget_cooldown))


async def _with_limiter(
    runtime: Runtime, remote: Remote, what: Callable[[SharedLimiter], Awaitable[timedelta]]
) -> timedelta:
    async with _connected(runtime) as redis:
        return await what(limiter_of(remote, redis, _no_history))


async def _usages(runtime: Runtime) -> dict[str, Usage]:
    async with _connected(runtime) as redis:
        remotes = runtime.settings.all_remotes
        return {remote.name: usage for remote in remotes if (usage := await _usage(remote, redis))}


def _connected(runtime: Runtime) -> AsyncRedis:
    return AsyncRedis.from_url(
        runtime.settings.redis_url, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_CONNECT_TIMEOUT
    )


async def _usage(remote: Remote, redis: AsyncRedis) -> Usage | None:
    try:
        return await limiter_of(remote, redis, _no_history).usage()
    except LimiterAwayError:
        return None


async def _no_history() -> History:
    return History()  # a look grants no permit, so no memory has to be made for it
