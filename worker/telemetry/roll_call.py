"""Which workers are alive, as they tell the broker: a worker has no connection to the database to tell it by."""

from datetime import timedelta

from redis import Redis

KEY = "coachsync:roll-call"
FORGOTTEN_AFTER = timedelta(days=1)


def answer(redis: Redis, name: str) -> None:
    """By the server's clock."""
    now = _now(redis)
    with redis.pipeline() as together:
        together.zadd(KEY, {name: now})
        together.zremrangebyscore(KEY, 0, now - FORGOTTEN_AFTER.total_seconds())
        together.execute()


def present(redis: Redis, window: timedelta) -> int:
    since = _now(redis) - window.total_seconds()
    return redis.zcount(KEY, since, "+inf")


def _now(redis: Redis) -> int:
    return redis.time()[0]
