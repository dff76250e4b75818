"""One remote made ready for a worker process: transport, authentication, client, limiter."""

from datetime import timedelta
from typing import assert_never

from redis.asyncio import Redis

from api_adapter.auth import client_credentials, static
from api_adapter.auth.authenticator import Authenticator
from api_adapter.auth.redis_tokens import RedisTokenStore
from api_adapter.client import CoachingClient
from api_adapter.rate_limit.policy import Policy, Seed, parse_rate_limit
from api_adapter.rate_limit.shared import SharedLimiter
from api_adapter.transport import Timeouts, Transport
from worker.clock import new_id, utc_now
from worker.configuration import credentials
from worker.configuration.remotes import Remote
from worker.configuration.values import Idempotency
from worker.executor import LEAST_PATIENCE, RemoteAccess
from worker.tracing.spans import headers

KEY_PREFIX = "coachsync:"
CONNECT = timedelta(seconds=3)
MOST_PATIENCE = timedelta(seconds=10)


def policy_of(remote: Remote) -> Policy:
    return Policy(limits=parse_rate_limit(remote.rate_limit), max_in_flight=remote.max_in_flight)


def patience_of(policy: Policy, request_timeout: timedelta) -> timedelta:
    """Long enough for a slow read and two more permits under the slowest limit: who has read is to write."""
    slowest = max(limit.window / limit.limit for limit in policy.limits)
    return request_timeout + min(MOST_PATIENCE, max(LEAST_PATIENCE, 2 * slowest))


def open_remote(remote: Remote, redis: Redis, history: Seed) -> tuple[RemoteAccess, Transport]:
    timeouts = Timeouts.within(remote.request_timeout)
    transport = Transport(ca_bundle=remote.ca_bundle, max_connections=remote.max_in_flight, timeouts=timeouts)
    client = CoachingClient(
        base_url=remote.api_url,
        transport=transport,
        authenticator=_authenticator(remote, redis, transport),
        new_request_id=new_id,
        clock=utc_now,
        more_headers=headers,
    )
    access = RemoteAccess(
        name=remote.name,
        client=client,
        limiter=limiter_of(remote, redis, history),
        max_in_flight=remote.max_in_flight,
        request_timeout=remote.request_timeout,
        trusts_keys=remote.idempotency is Idempotency.HEADER,
        key_memory=remote.key_memory,
        patience=patience_of(policy_of(remote), remote.request_timeout),
    )
    return access, transport


def limiter_of(remote: Remote, redis: Redis, history: Seed) -> SharedLimiter:
    policy, lifetime = policy_of(remote), remote.request_timeout + CONNECT
    return SharedLimiter(redis, remote.name, policy, seed=history, permit_lifetime=lifetime, prefix=KEY_PREFIX)


def _authenticator(remote: Remote, redis: Redis, transport: Transport) -> Authenticator:
    match remote.credentials:
        case credentials.NoCredentials():
            return static.NoAuthentication()
        case credentials.BearerToken(token=token):
            return static.BearerToken(token)
        case credentials.ApiKey(key=key):
            return static.ApiKey(key)
        case credentials.ClientCredentials(client_id=client_id, client_secret=secret, token_url=token_url):
            token_key = f"{KEY_PREFIX}token:{remote.name}"
            return client_credentials.ClientCredentials(
                token_url=token_url,
                client_id=client_id,
                client_secret=secret,
                transport=transport,
                store=RedisTokenStore(redis, key=token_key, client_secret=secret, new_id=new_id),
                clock=utc_now,
            )
        case other:
            assert_never(other)
