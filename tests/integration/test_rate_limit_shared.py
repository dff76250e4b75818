"""What only the fleet's limiter can do: share, fail closed, and survive what happens to its server."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from redis.asyncio import Redis

from api_adapter.rate_limit.permits import Grant, Settled, Why
from api_adapter.rate_limit.policy import History, Policy, parse_rate_limit
from api_adapter.rate_limit.shared import AWAY_RETRY, LimiterAwayError, SharedLimiter
from schemas.lanes import Lane
from tests.services.limiters import SharedBench
from tests.services.valkey import ValkeyServer

STATE, FLIGHT, COUNTED = (f"coachsync:limiter:1:{{acme}}:{part}" for part in ("state", "flight", "counted"))
POLICY = Policy(parse_rate_limit("100/second"), 50)
MINUTE = timedelta(minutes=1)


def warm(bench: SharedBench, policy: Policy = POLICY) -> SharedLimiter:
    limiter = bench.limiter(policy)
    assert isinstance(limiter, SharedLimiter)
    bench.settle(limiter)
    bench.advance(2.1)
    return limiter


# sharing


def test_all_processes_draw_on_one_limit(shared_bench: SharedBench) -> None:
    first, second = warm(shared_bench), shared_bench.limiter(POLICY)
    assert len(shared_bench.ask(first, 20).permits) == 20
    assert len(shared_bench.ask(second, 20).permits) == 5
    assert shared_bench.usage(second).in_flight == 25


def test_remotes_do_not_touch_each_other(shared_bench: SharedBench) -> None:
    limiter = warm(shared_bench)
    client = Redis.from_url(shared_bench.url)
    other = SharedLimiter(client, "umbrella", POLICY)
    (permit,) = shared_bench.ask(limiter, 1).permits
    shared_bench.settle(limiter, Settled(permit, throttled=True, retry_after=MINUTE))
    assert shared_bench.ask(other, 1).why is Why.COLD
    shared_bench.runner.run(client.aclose())


def test_bulk_waits_until_the_last_of_several_interactive_askers_has_been_served(shared_bench: SharedBench) -> None:
    bulk = warm(shared_bench)
    one, other = shared_bench.limiter(POLICY), shared_bench.limiter(POLICY)
    shared_bench.ask(bulk, 25)
    for asker in (one, other):
        assert shared_bench.ask(asker, 1, lane=Lane.INTERACTIVE).why is Why.PACE
    shared_bench.advance(0.1)
    assert shared_bench.ask(one, 1, lane=Lane.INTERACTIVE).permits
    assert shared_bench.ask(bulk, 1).why is Why.RESERVED
    assert shared_bench.ask(other, 1, lane=Lane.INTERACTIVE).permits
    assert shared_bench.ask(bulk, 1).permits


def test_an_interactive_asker_told_to_come_back_later_is_still_awaited_then(shared_bench: SharedBench) -> None:
    slow = Policy(parse_rate_limit("1/second"), 50)
    limiter, bulk = warm(shared_bench, slow), shared_bench.limiter(slow)
    (permit,) = shared_bench.ask(limiter, 1).permits
    shared_bench.settle(limiter, Settled(permit, throttled=True, retry_after=timedelta(seconds=30)))
    shared_bench.ask(limiter, 1, lane=Lane.INTERACTIVE)
    shared_bench.advance(30.9)
    assert shared_bench.ask(bulk, 1).why is Why.RESERVED


def test_processes_that_find_the_memory_lost_seed_it_once(shared_bench: SharedBench) -> None:
    policy = Policy(parse_rate_limit("100/second, 1000/minute"), 50)
    both_cold = asyncio.Barrier(2)

    def seed(count: int) -> Callable[[], object]:
        async def counted() -> History:
            await both_cold.wait()
            return History({MINUTE: count})

        return counted

    limiters = [shared_bench.limiter(policy, seed=seed(count)) for count in (300, 300)]  # type: ignore[arg-type] # a coroutine function

    async def both() -> list[Grant]:
        return await asyncio.gather(*(limiter.exchange(Lane.BULK, 1) for limiter in limiters))

    shared_bench.runner.run(both())
    assert [window.used for window in shared_bench.usage(limiters[0]).windows] == [100, 300]


def test_a_process_with_the_old_policy_counts_for_the_new_ones_windows(shared_bench: SharedBench) -> None:
    old = warm(shared_bench)

    async def seed() -> History:
        return History({MINUTE: 10})

    new = shared_bench.limiter(Policy(parse_rate_limit("100/second, 1000/minute"), 50), seed=seed)
    shared_bench.settle(new)
    permits = shared_bench.ask(old, 5).permits
    shared_bench.settle(old, *(Settled(permit) for permit in permits))
    assert shared_bench.usage(new).windows[1].used == 15


def test_a_window_that_no_policy_names_any_more_is_forgotten(shared_bench: SharedBench) -> None:
    limiter = warm(shared_bench, Policy(parse_rate_limit("100/second, 1000/minute"), 50))
    shared_bench.settle(limiter)
    limiter.policy = POLICY
    shared_bench.advance(119)
    shared_bench.settle(limiter)
    assert set(_state(shared_bench)["windows"]) == {"1000", "60000"}
    shared_bench.advance(2)
    shared_bench.settle(limiter)
    assert set(_state(shared_bench)["windows"]) == {"1000"}


# what is kept


def test_all_keys_are_of_one_cluster_slot_and_expire(shared_bench: SharedBench) -> None:
    limiter = warm(shared_bench, Policy(parse_rate_limit("100/second, 1000/hour"), 50))
    limiter.policy = Policy(parse_rate_limit("100/second"), 50)
    (permit, _) = shared_bench.ask(limiter, 2).permits
    shared_bench.settle(limiter, Settled(permit))
    assert set(shared_bench.server.scan_iter()) == {key.encode() for key in (STATE, FLIGHT, COUNTED, "test-clock")}
    day = 24 * 3600
    assert 6 * day < shared_bench.server.ttl(STATE) <= 7 * day
    assert 10 < shared_bench.server.ttl(FLIGHT) <= 3600
    assert 3600 < shared_bench.server.ttl(COUNTED) <= 2 * 3600


def test_counts_that_expired_while_idle_leave_the_window_empty(shared_bench: SharedBench) -> None:
    limiter = warm(shared_bench)
    permits = shared_bench.ask(limiter, 20).permits
    shared_bench.settle(limiter, *(Settled(permit) for permit in permits))
    shared_bench.server.delete(COUNTED)
    shared_bench.advance(3)
    assert shared_bench.usage(limiter).windows[0].used == 0


def test_what_another_server_wrote_is_not_trusted_but_its_cooldown_is_kept(shared_bench: SharedBench) -> None:
    limiter = warm(shared_bench)
    (permit,) = shared_bench.ask(limiter, 1).permits
    shared_bench.settle(limiter, Settled(permit, throttled=True, retry_after=MINUTE))
    restored = _state(shared_bench) | {"server": "an older life"}  # as a snapshot or a promoted replica has it
    shared_bench.server.set(STATE, json.dumps(restored))
    refused = shared_bench.ask(limiter, 1)
    assert (refused.why, refused.retry_in) == (Why.COOLDOWN, MINUTE)
    assert shared_bench.usage(limiter).windows[0].used == 100


def test_a_cooldown_that_another_server_wrote_is_forgotten_too(shared_bench: SharedBench) -> None:
    limiter = warm(shared_bench)
    (permit,) = shared_bench.ask(limiter, 1).permits
    shared_bench.settle(limiter, Settled(permit, throttled=True, retry_after=MINUTE))
    shared_bench.server.set(STATE, json.dumps(_state(shared_bench) | {"server": "an older life"}), ex=1000)
    assert shared_bench.forget_cooldown(limiter) == MINUTE
    assert 900 < shared_bench.server.ttl(STATE) <= 1000
    assert shared_bench.ask(limiter, 1).why is Why.COLD


def test_counts_of_a_memory_that_is_not_trusted_leave_nothing_behind(shared_bench: SharedBench) -> None:
    limiter = warm(shared_bench)
    permits = shared_bench.ask(limiter, 20).permits
    shared_bench.settle(limiter, *(Settled(permit) for permit in permits))
    shared_bench.server.set(STATE, json.dumps(_state(shared_bench) | {"server": "an older life"}))
    shared_bench.settle(limiter)
    shared_bench.advance(1.5)
    assert shared_bench.usage(limiter).windows[0].used == 100


def test_a_server_clock_that_steps_back_costs_a_cold_start_and_no_more(shared_bench: SharedBench) -> None:
    limiter = warm(shared_bench)
    shared_bench.settle(limiter)
    shared_bench.advance(-0.9)
    assert shared_bench.ask(limiter, 1).permits
    shared_bench.advance(-3600)
    assert shared_bench.ask(limiter, 1).why is Why.COLD
    shared_bench.advance(2.1)
    assert shared_bench.ask(limiter, 1).permits


def test_a_script_that_the_server_forgot_is_loaded_again(shared_bench: SharedBench) -> None:
    limiter = warm(shared_bench)
    shared_bench.server.script_flush()
    assert shared_bench.ask(limiter, 1).permits


# away


def read_only(server: redis.Redis) -> None:
    server.replicaof("127.0.0.1", "1")


def too_few_replicas(server: redis.Redis) -> None:
    server.config_set("min-replicas-to-write", "1")


def out_of_memory(server: redis.Redis) -> None:
    server.config_set("maxmemory", "1")


def password_wanted(server: redis.Redis) -> None:
    server.config_set("requirepass", "secret")
    server.client_kill_filter(_type="normal", skipme=True)


def not_permitted(server: redis.Redis) -> None:
    server.acl_setuser("default", enabled=True, nopass=True, commands=["-evalsha"])


def restore(server: redis.Redis) -> None:
    server.replicaof("NO", "ONE")
    server.config_set("min-replicas-to-write", "0")
    server.config_set("maxmemory", "0")
    server.config_set("requirepass", "")
    server.acl_setuser("default", enabled=True, nopass=True, categories=["+@all"])


@pytest.fixture
def broken_server(shared_bench: SharedBench) -> Iterator[redis.Redis]:
    yield shared_bench.server
    restore(shared_bench.server)


@pytest.mark.parametrize("fault", [read_only, too_few_replicas, out_of_memory, password_wanted, not_permitted])
def test_a_server_that_refuses_gives_no_permit_and_raises_nothing(
    shared_bench: SharedBench, broken_server: redis.Redis, fault: Callable[[redis.Redis], None]
) -> None:
    limiter = warm(shared_bench)
    fault(broken_server)
    assert shared_bench.ask(limiter, 1) == Grant(retry_in=AWAY_RETRY, why=Why.AWAY)
    with pytest.raises(LimiterAwayError):
        shared_bench.usage(limiter)
    restore(broken_server)
    assert shared_bench.ask(limiter, 1).permits


def test_a_cooldown_is_not_forgotten_by_a_server_that_refuses(
    shared_bench: SharedBench, broken_server: redis.Redis
) -> None:
    limiter = warm(shared_bench)
    read_only(broken_server)
    with pytest.raises(LimiterAwayError):
        shared_bench.forget_cooldown(limiter)


def test_a_killed_server_gives_no_permit_and_a_restarted_one_starts_cold(
    shared_bench: SharedBench, valkey_server: ValkeyServer
) -> None:
    limiter = warm(shared_bench)
    (permit,) = shared_bench.ask(limiter, 1).permits
    valkey_server.kill()
    assert shared_bench.ask(limiter, 1, [Settled(permit)]).why is Why.AWAY
    valkey_server.restart()
    shared_bench.advance(1)
    assert shared_bench.ask(limiter, 1).why is Why.COLD
    assert shared_bench.usage(limiter).windows[0].used == 101  # the settlement was kept and told


def test_what_could_not_be_settled_is_told_with_the_next_exchange(
    shared_bench: SharedBench, valkey_server: ValkeyServer
) -> None:
    limiter = warm(shared_bench)
    one, other = shared_bench.ask(limiter, 2).permits
    valkey_server.freeze()
    asked_at = time.monotonic()
    assert shared_bench.ask(limiter, 0, [Settled(one), Settled(other)]).why is Why.AWAY
    assert time.monotonic() - asked_at < 3  # permits that took longer would be void
    valkey_server.thaw()
    assert shared_bench.ask(limiter, 0) == Grant()
    assert shared_bench.usage(limiter).in_flight == 0


def test_what_waits_to_be_told_is_bounded_by_the_cap_in_flight(
    shared_bench: SharedBench, valkey_server: ValkeyServer
) -> None:
    limiter = warm(shared_bench)
    (permit,) = shared_bench.ask(limiter, 1).permits
    valkey_server.kill()
    for _ in range(3):
        shared_bench.settle(limiter, *[Settled(permit)] * 40)
    assert len(limiter._untold) == POLICY.max_in_flight


def test_a_bug_is_raised_and_what_was_to_be_settled_is_kept(shared_bench: SharedBench) -> None:
    limiter = warm(shared_bench)
    (permit,) = shared_bench.ask(limiter, 1).permits
    state = json.dumps(_state(shared_bench))
    shared_bench.server.set(STATE, "no JSON")
    with pytest.raises(redis.ResponseError):
        shared_bench.settle(limiter, Settled(permit))
    shared_bench.server.set(STATE, state)
    shared_bench.settle(limiter)
    assert shared_bench.usage(limiter).in_flight == 0


def test_a_seed_that_cannot_be_counted_grants_nothing_and_leaves_nothing(shared_bench: SharedBench) -> None:
    async def database_is_away() -> History:
        raise RuntimeError("no database")

    limiter = shared_bench.limiter(POLICY, seed=database_is_away)
    assert shared_bench.ask(limiter, 1).why is Why.AWAY
    assert not shared_bench.server.exists(STATE)


def _state(bench: SharedBench) -> dict[str, Any]:
    text = bench.server.get(STATE)
    assert text
    state: dict[str, Any] = json.loads(text)
    return state
