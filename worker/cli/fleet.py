"""What runs at this moment, asked of the broker: the workers, and each remote's limiter."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from celery import Celery
from kombu.exceptions import OperationalError
from redis import RedisError
from redis.asyncio import Redis as AsyncRedis

from api_adapter.rate_limit.permits import Usage
from api_adapter.rate_limit.policy import History
from api_adapter.rate_limit.shared import LimiterAwayError
from worker.configuration.remotes import Remote
from worker.remote_access import limiter_of
from worker.runtime import REDIS_CONNECT_TIMEOUT, REDIS_TIMEOUT, Runtime

PING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """``usages`` by remote, without those whose limiter could not be asked."""

    broker_error: str | None = None
    workers: Sequence[str] = ()
    usages: Mapping[str, Usage] = field(default_factory=dict)


def look(runtime: Runtime) -> Fleet:
    try:
        runtime.redis.ping()
        workers = answering_workers(runtime.app)
    except (RedisError, OperationalError) as error:
        return Fleet(broker_error=str(error).splitlines()[0] if str(error) else type(error).__name__)
    return Fleet(workers=workers, usages=asyncio.run(_usages(runtime.settings.all_remotes, runtime.settings.redis_url)))


def answering_workers(app: Celery) -> list[str]:
    """Asked on a connection that ends with the question.

    One of Celery's pool would stay behind with a read under way: kombu, in every process that is forked from this one,
    waits for that read's answer before the process begins.
    """
    with app.connection_for_write() as connection:
        answers = app.control.ping(timeout=PING_SECONDS, connection=connection)
    return sorted(name for answer in answers for name in answer)


async def _usages(remotes: Sequence[Remote], url: str) -> dict[str, Usage]:
    async with AsyncRedis.from_url(
        url, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_CONNECT_TIMEOUT
    ) as redis:
        return {remote.name: usage for remote in remotes if (usage := await _usage(remote, redis))}


async def _usage(remote: Remote, redis: AsyncRedis) -> Usage | None:
    try:
        return await limiter_of(remote, redis, _no_history).usage()
    except LimiterAwayError:
        return None


async def _no_history() -> History:
    return History()  # a look grants no permit, so no memory has to be made for it
