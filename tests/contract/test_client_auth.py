"""OAuth 2 client credentials: one token for the fleet, renewed once, over the sandbox's issuer and both stores."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from api_adapter.auth.authenticator import TokenRefused, TokenUnavailable
from api_adapter.auth.client_credentials import YOUNG, ClientCredentials
from api_adapter.auth.redis_tokens import RedisTokenStore
from api_adapter.auth.tokens import TURN, AccessToken, LocalTokenStore, TokenStore
from api_adapter.outcomes import Answered, Unauthorized, Unavailable
from api_adapter.sandbox.authentication import TOKEN_PATH
from api_adapter.sandbox.options import SandboxOptions
from api_adapter.sandbox.server import RunningSandbox, running_sandbox
from api_adapter.transport import Transport
from tests.contract.client_rig import KEY, PERMIT, TARGET, Clock, client_of, write

ID, SECRET = "coachsync", SecretStr("s3cret-of-ours")
HOUR = timedelta(hours=1)


def _wall_clock() -> datetime:
    return datetime.now().astimezone()  # noqa: TID251 - Redis ends a key by the real clock


@dataclass(slots=True)
class Fleet:
    """Workers that share a store, an issuer and a clock."""

    sandbox: RunningSandbox
    store: TokenStore
    clock: Clock
    transport: Transport

    def worker(self, secret: SecretStr = SECRET) -> ClientCredentials:
        return ClientCredentials(
            token_url=self.sandbox.url + TOKEN_PATH,
            client_id=ID,
            client_secret=secret,
            store=self.store,
            transport=self.transport,
            clock=self.clock,
        )

    @property
    def renewals(self) -> int:
        return self.sandbox.ledger.token_renewals

    def forget_tokens(self) -> None:
        """As an issuer does that revokes what it gave."""
        self.sandbox.api.tokens = type(self.sandbox.api.tokens)(self.sandbox.api._draw_token, HOUR.total_seconds())


OpenStore = Callable[[Clock], Any]


@pytest.fixture(params=["local", "redis"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    numbers = map(str, itertools.count(1))
    if request.param == "local":
        return _open_local(numbers)
    return _open_redis(numbers, request.getfixturevalue("valkey"))


def _open_local(numbers: Iterator[str]) -> OpenStore:
    @asynccontextmanager
    async def open_store(clock: Clock) -> AsyncIterator[TokenStore]:
        yield LocalTokenStore(new_id=lambda: next(numbers), monotonic=lambda: clock().timestamp())

    return open_store


def _open_redis(numbers: Iterator[str], url: str) -> OpenStore:
    @asynccontextmanager
    async def open_store(_: Clock) -> AsyncIterator[TokenStore]:
        async with Redis.from_url(url) as redis:
            yield RedisTokenStore(redis, key="acme", client_secret=SECRET, new_id=lambda: next(numbers))

    return open_store


def _walk(open_store: OpenStore, walk: Callable[[Fleet], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        clock = Clock(_wall_clock())
        settings = SandboxOptions(targets=1, client_id=ID, client_secret=SECRET.get_secret_value(), **options)
        async with (
            running_sandbox(settings) as sandbox,
            open_store(clock) as store,
            Transport() as transport,
        ):
            await walk(Fleet(sandbox, store, clock, transport))

    asyncio.run(run())


def test_a_fleet_that_starts_asks_for_one_token(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        workers = [fleet.worker() for _ in range(5)]
        headers = await asyncio.gather(*(worker.header() for worker in workers for _ in range(4)))
        assert len(set(headers)) == 1
        assert headers[0].startswith("Bearer ")
        assert fleet.renewals == 1

    _walk(open_store, walk)


def test_a_worker_that_starts_later_uses_the_fleets_token(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        assert await fleet.worker().header() == await fleet.worker().header()
        assert fleet.renewals == 1

    _walk(open_store, walk)


def test_a_token_is_renewed_once_before_it_ends(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        workers = [fleet.worker() for _ in range(3)]
        old = {await worker.header() for worker in workers}
        fleet.clock.now += HOUR - timedelta(minutes=4)
        new = {await worker.header() for worker in workers}
        assert (len(old), len(new), len(old | new), fleet.renewals) == (1, 1, 2, 2)

    _walk(open_store, walk)


def test_while_one_renews_the_others_use_the_old_token_until_it_ends(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        worker, late = fleet.worker(), fleet.worker()
        old = await worker.header()
        fleet.clock.now += HOUR - timedelta(minutes=4)
        assert await fleet.store.take_turn()  # someone else's
        assert [await worker.header(), await late.header()] == [old, old]
        assert fleet.renewals == 1

    _walk(open_store, walk)


def test_a_worker_without_a_token_waits_for_the_one_that_renews(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        turn = await fleet.store.take_turn()
        assert turn
        waiting = asyncio.ensure_future(fleet.worker().header())
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        await fleet.store.save(AccessToken(SecretStr("from-another"), fleet.clock(), fleet.clock() + HOUR))
        await fleet.store.end_turn(turn)
        assert await asyncio.wait_for(waiting, 5) == "Bearer from-another"
        assert fleet.renewals == 0

    _walk(open_store, walk)


_SECOND_RENEWAL_FAILS = [{"match": {"path": TOKEN_PATH, "nth": 2}, "fault": {"kind": "status", "status": 503}}]
_FIRST_RENEWAL_FAILS = [{"match": {"path": TOKEN_PATH, "nth": 1}, "fault": {"kind": "status", "status": 503}}]


def test_a_renewal_that_fails_leaves_the_old_token_in_use_while_it_lasts(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        worker = fleet.worker()
        old = await worker.header()
        fleet.clock.now += HOUR - timedelta(minutes=4)
        assert [await worker.header() for _ in range(5)] == [old] * 5
        assert fleet.renewals == 1

    _walk(open_store, walk, faults=_SECOND_RENEWAL_FAILS)


def test_an_issuer_in_trouble_is_asked_once_a_turn(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        worker = fleet.worker()
        for _ in range(5):  # the issuer would give a token to the second one who asks
            with pytest.raises(TokenUnavailable, match="503"):
                await worker.header()

    _walk(open_store, walk, faults=_FIRST_RENEWAL_FAILS)


def test_a_worker_in_trouble_takes_what_another_worker_got(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        worker = fleet.worker()
        with pytest.raises(TokenUnavailable, match="503"):
            await worker.header()
        await fleet.store.save(AccessToken(SecretStr("from-another"), fleet.clock(), fleet.clock() + HOUR))
        assert await worker.header() == "Bearer from-another"

    _walk(open_store, walk, faults=_FIRST_RENEWAL_FAILS)


def test_after_the_turn_the_issuer_is_asked_again() -> None:
    async def walk(fleet: Fleet) -> None:
        worker, other = fleet.worker(), fleet.worker()
        with pytest.raises(TokenUnavailable, match="503"):
            await worker.header()
        fleet.clock.now += TURN
        assert await worker.header() == await other.header()

    _walk(_open_local(map(str, itertools.count())), walk, faults=_FIRST_RENEWAL_FAILS)


def test_a_rejected_token_is_renewed_once_for_all_who_were_rejected(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        workers = [fleet.worker() for _ in range(3)]
        old = await workers[0].header()
        await asyncio.gather(*(worker.header() for worker in workers))
        fleet.clock.now += 2 * YOUNG
        assert all(await asyncio.gather(*(worker.renew(old) for worker in workers for _ in range(3))))
        new = {await worker.header() for worker in workers}
        assert (len(new), fleet.renewals) == (1, 2)
        assert old not in new

    _walk(open_store, walk)


def test_a_token_that_is_rejected_when_it_is_young_is_not_renewed_again_and_again(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        worker = fleet.worker()
        header = await worker.header()
        assert await worker.renew(header) is False
        fleet.clock.now += YOUNG
        assert await worker.renew(header) is True
        assert await worker.renew(await worker.header()) is False
        assert fleet.renewals == 2

    _walk(open_store, walk)


def test_while_a_worker_renews_its_other_calls_go_on_with_the_old_token(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        worker = fleet.worker()
        old = await worker.header()
        fleet.clock.now += HOUR - timedelta(minutes=4)
        renewing = asyncio.ensure_future(worker.header())
        await asyncio.sleep(0)
        assert await worker.header() == old
        assert not renewing.done()
        assert await renewing != old

    _walk(open_store, walk, faults=[{"match": {"path": TOKEN_PATH}, "fault": {"kind": "delay", "delay": 0.2}}])


class _Busy(LocalTokenStore):
    """Another worker's token arrives between our look and our turn."""

    looks = 0
    arriving: AccessToken | None = None

    async def load(self) -> AccessToken | None:
        self.looks += 1
        return await super().load()

    async def take_turn(self) -> str | None:
        if self.arriving:
            await self.save(self.arriving)
        return await super().take_turn()


def _open_busy(store: _Busy) -> OpenStore:
    @asynccontextmanager
    async def open_store(clock: Clock) -> AsyncIterator[TokenStore]:
        store.arriving = store.arriving and AccessToken(store.arriving.value, clock(), clock() + HOUR)
        yield store

    return open_store


def test_a_token_that_arrives_between_look_and_turn_is_taken_and_the_turn_given_on() -> None:
    store = _Busy(new_id=lambda: "turn")
    store.arriving = AccessToken(SecretStr("from-another"), Clock().now, Clock().now)

    async def walk(fleet: Fleet) -> None:
        assert await fleet.worker().header() == "Bearer from-another"
        assert fleet.renewals == 0
        store.arriving = None
        assert await store.take_turn()

    _walk(_open_busy(store), walk)


def test_many_calls_of_one_worker_look_into_the_store_once() -> None:
    store = _Busy(new_id=lambda: "turn")

    async def walk(fleet: Fleet) -> None:
        worker = fleet.worker()
        await asyncio.gather(*(worker.header() for _ in range(50)))
        assert store.looks == 2  # before the turn and in it

    _walk(_open_busy(store), walk)


def test_a_renewal_that_fails_is_no_renewal(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        worker = fleet.worker()
        header = await worker.header()
        fleet.clock.now += 2 * YOUNG
        assert await worker.renew(header) is False

    faults = [{"match": {"path": TOKEN_PATH, "nth": 2}, "fault": {"kind": "status", "status": 401}}]
    _walk(open_store, walk, faults=faults)


def test_a_wrong_secret_is_refused_and_never_told(open_store: OpenStore) -> None:
    async def walk(fleet: Fleet) -> None:
        worker = fleet.worker(SecretStr("wr0ng-secret"))
        with pytest.raises(TokenRefused, match="401") as refused:
            await worker.header()
        assert "wr0ng" not in f"{refused.value} {refused.value!r} {worker!r}"

    _walk(open_store, walk)


def test_a_call_whose_token_was_revoked_is_unauthorized_and_the_next_one_has_a_new_token(
    open_store: OpenStore,
) -> None:
    async def walk(fleet: Fleet) -> None:
        async with client_of(fleet.sandbox.url, authenticator=fleet.worker()) as client:
            assert isinstance(await client.get_target(PERMIT, TARGET), Answered)
            fleet.forget_tokens()
            young = await client.update_target(PERMIT, write(), KEY)
            assert isinstance(young, Unauthorized)
            assert not young.renewed
            fleet.clock.now += 2 * YOUNG
            old = await client.update_target(PERMIT, write(), KEY)
            assert isinstance(old, Unauthorized)
            assert old.renewed
            assert isinstance(await client.update_target(PERMIT, write(), KEY), Answered)
            assert len(fleet.sandbox.ledger.arrivals) == 4

    _walk(open_store, walk)


@pytest.mark.parametrize(("status", "expected"), [(401, Unauthorized), (503, Unavailable)])
def test_a_call_without_a_token_says_why_and_sends_nothing(open_store: OpenStore, status: int, expected: type) -> None:
    async def walk(fleet: Fleet) -> None:
        async with client_of(fleet.sandbox.url, authenticator=fleet.worker()) as client:
            outcome = await client.update_target(PERMIT, write(), KEY)
            assert type(outcome) is expected
            assert isinstance(outcome, Unauthorized | Unavailable)
            assert f"issuer answered {status}" in outcome.message
            assert outcome.exchange.status is None
            assert fleet.sandbox.ledger.arrivals == []

    _walk(open_store, walk, faults=[{"match": {"path": TOKEN_PATH}, "fault": {"kind": "status", "status": status}}])


def _redis_walk(url: str, walk: Callable[[Redis], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Redis.from_url(url, socket_timeout=0.3) as redis:
            await walk(redis)

    asyncio.run(run())


def _redis_store(redis: Redis, secret: SecretStr = SECRET) -> RedisTokenStore:
    return RedisTokenStore(redis, key="acme", client_secret=secret, new_id=lambda: "turn")


def test_redis_never_holds_a_token_in_the_clear_nor_longer_than_it_lives(valkey: str) -> None:
    async def walk(redis: Redis) -> None:
        now = _wall_clock()
        await _redis_store(redis).save(AccessToken(SecretStr("in-the-clear"), now, now + HOUR))
        (key,) = await redis.keys()
        assert b"in-the-clear" not in key + await redis.get(key)
        assert HOUR.total_seconds() - 5 < await redis.ttl(key) <= HOUR.total_seconds()
        loaded = await _redis_store(redis).load()
        assert loaded == AccessToken(SecretStr("in-the-clear"), now, now + HOUR)

    _redis_walk(valkey, walk)


def test_a_token_under_another_secret_or_tampered_with_is_as_none(valkey: str) -> None:
    async def walk(redis: Redis) -> None:
        now = _wall_clock()
        await _redis_store(redis).save(AccessToken(SecretStr("abc"), now, now + HOUR))
        assert await _redis_store(redis, SecretStr("the-next-secret")).load() is None
        (key,) = await redis.keys()
        await redis.set(key, b"planted")
        assert await _redis_store(redis).load() is None

    _redis_walk(valkey, walk)


def test_a_turn_of_a_worker_that_died_runs_out(valkey: str) -> None:
    async def walk(redis: Redis) -> None:
        assert await _redis_store(redis).take_turn()
        (key,) = await redis.keys()
        assert 0 < await redis.pttl(key) <= TURN.total_seconds() * 1000

    _redis_walk(valkey, walk)


def test_a_late_worker_never_ends_another_ones_turn(valkey: str) -> None:
    async def walk(redis: Redis) -> None:
        store = _redis_store(redis)
        assert await store.take_turn()
        await store.end_turn("an older turn")
        assert await store.take_turn() is None
        await store.end_turn("turn")
        assert await store.take_turn()

    _redis_walk(valkey, walk)


def test_a_store_that_is_away_is_trouble_that_passes() -> None:
    async def walk(redis: Redis) -> None:
        with pytest.raises(TokenUnavailable, match="store of tokens is away"):
            await _redis_store(redis).load()

    _redis_walk("redis://127.0.0.1:1/0", walk)
