"""A deliverer at work against real receivers: everything arrives, signed, at its pace, in order, whoever dies."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout
from standardwebhooks import Webhook

from tests.integration.cli_rig import chosen_store, on_both
from tests.integration.webhook_rig import (
    FINE,
    HANGS,
    LOOPBACK,
    QUICK,
    SEALER,
    SECRET,
    Answer,
    Got,
    Receiver,
    attempts_of,
    deliver,
    deliver_all,
    deliveries_of,
    delivering,
    endpoint,
    happening,
    left,
    make_due,
    make_endpoint,
    messages,
    receiving,
    set_endpoint,
    states,
    tell,
    tell_some,
    types,
    until,
)
from worker.clock import utc_now
from worker.core.delivery import OPENS_AFTER, Reply, observe
from worker.store import endpoints
from worker.store.deliveries import Sender
from worker.store.endpoints import Owned
from worker.store.engine import Database
from worker.store.outbox import DEAD, DELIVERED, DISABLED, PENDING
from worker.webhooks import signing
from worker.webhooks.address import AddressGuard
from worker.webhooks.courier import Courier, Means
from worker.webhooks.post import Poster

BROKEN = Answer(500)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Database:
    return chosen_store(request)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def make(store: Database, receiver: Receiver, path: str = "a", **said: object) -> str:
    return make_endpoint(store, f"ep_{path}", f"{receiver.url}/{path}", **said)  # type: ignore[arg-type]


@on_both
def test_all_that_there_is_to_tell_arrives_once_under_its_id_and_each_attempt_is_recorded(
    store: Database, receiver: Receiver
) -> None:
    make(store, receiver)
    make(store, receiver, "b")
    tell_some(store, 50)
    deliver_all(store)
    told = Counter(one.id for one in messages(store))
    assert Counter(receiver.ids("a")) == Counter(receiver.ids("b")) == told
    assert set(states(store)) == {DELIVERED}
    assert [(one.status, one.sender) for one in attempts_of(store)] == [(204, "one")] * 100
    assert {(one.attempts, one.status) for one in deliveries_of(store)} == {(1, 204)}


def test_what_happens_while_it_runs_arrives_too(store: Database, receiver: Receiver) -> None:
    make(store, receiver)

    async def run() -> None:
        async with delivering(store):
            for round_ in range(1, 4):
                await asyncio.to_thread(tell_some, store, 2)
                await until(lambda wanted=2 * round_: len(receiver.got) == wanted, "they arrive")
                await asyncio.sleep(QUICK.leaves_after * 1.2 if round_ == 2 else 0)  # its courier has left meanwhile

    asyncio.run(run())


def test_a_signature_verifies_with_the_official_library_over_the_body_as_it_came(
    store: Database, receiver: Receiver
) -> None:
    make(store, receiver)
    tell(store, happening("Zoë · 目標"))
    deliver_all(store)
    (got,) = receiver.got
    assert Webhook(SECRET).verify(got.body, dict(got.headers))["type"] == "remote.quarantined"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("coachsync/")
    assert got.body.decode() == messages(store)[0].body


def test_while_a_secret_is_replaced_the_old_and_the_new_one_fit_and_so_does_a_public_key(
    store: Database, receiver: Receiver
) -> None:
    make(store, receiver)
    new, pair = (
        signing.new_secret("v1", lambda count: b"n" * count),
        signing.new_secret("v1a", lambda count: b"p" * count),
    )
    with store.write() as session:
        endpoints.rotate(session, "ep_a", "v1", SEALER.seal(new), timedelta(days=1))
        endpoints.rotate(session, "ep_a", "v1a", SEALER.seal(pair), timedelta(days=1))
    tell_some(store, 1)
    deliver_all(store)
    (got,) = receiver.got
    for secret in (SECRET, new):
        assert Webhook(secret).verify(got.body, dict(got.headers))
    public = signing.Verifier(signing.shown(pair))
    assert public.verify(got.headers, got.body, utc_now().timestamp()) == got.id
    assert len(got.headers["webhook-signature"].split()) == 3


def test_a_secret_that_is_replaced_while_it_sends_signs_from_then_on(store: Database, receiver: Receiver) -> None:
    make(store, receiver, rate_limit=20)
    new = signing.new_secret("v1", lambda count: b"n" * count)

    async def run() -> None:
        async with delivering(store):
            tell_some(store, 1)
            await until(lambda: bool(receiver.got), "the first arrives")
            with store.write() as session:
                endpoints.rotate(session, "ep_a", "v1", SEALER.seal(new), timedelta(0))
            await asyncio.sleep(2 * QUICK.renewed_every)
            tell_some(store, 1)
            await until(lambda: len(receiver.got) == 2, "the second arrives")

    asyncio.run(run())
    for got, secret in zip(receiver.got, (SECRET, new), strict=True):
        assert Webhook(secret).verify(got.body, dict(got.headers))


# Pace


def test_no_more_are_under_way_than_the_endpoint_takes(store: Database, receiver: Receiver) -> None:
    make(store, receiver, concurrency=4)
    receiver.scripts["a"] = lambda _: Answer(delay=0.03)
    tell_some(store, 30)
    deliver_all(store)
    assert max(one.beside for one in receiver.got) == 3, "four at once, and that many"


def test_no_more_come_in_any_second_than_the_rate(store: Database, receiver: Receiver) -> None:
    rate, jitter = 10, 0.1
    make(store, receiver, rate_limit=rate)
    tell_some(store, 25)
    deliver_all(store)
    times = [one.at for one in receiver.got]
    for first in times:
        assert sum(first <= at < first + 1 - jitter for at in times) <= rate
    assert times[-1] - times[0] < 2.5 + 1, "nor much slower"


def test_what_an_owner_has_sent_in_its_last_second_counts_for_the_next_one(store: Database, receiver: Receiver) -> None:
    make(store, receiver, rate_limit=5)
    tell_some(store, 5)
    deliver_all(store, name="one")
    tell_some(store, 1)
    deliver_all(store, name="two")
    assert receiver.got[-1].at - receiver.got[-2].at > 0.9
    assert [one.sender for one in attempts_of(store)] == ["one"] * 5 + ["two"]


def test_in_order_each_resource_gets_its_messages_one_by_one_though_some_fail(
    store: Database, receiver: Receiver
) -> None:
    make(store, receiver, ordered=True)
    failed: set[str] = set()

    def fails_at_first(got: Got) -> Answer:
        if int(got.id[-1], 16) % 3 or got.id in failed:
            return Answer(delay=0.002)
        failed.add(got.id)
        return BROKEN

    receiver.scripts["a"] = fails_at_first
    tell(store, *(happening(number % 6) for number in range(48)))

    async def run() -> None:
        async with delivering(store):
            async with asyncio.timeout(20):
                while await asyncio.to_thread(left, store):
                    await asyncio.to_thread(make_due, store)
                    await asyncio.sleep(0.05)

    asyncio.run(run())
    resource_of = {one.id: one.resource for one in messages(store)}
    arrived = [one.id for position, one in enumerate(receiver.got) if not _failed_then(receiver, position)]
    assert failed
    for resource in map(str, range(6)):
        wanted = [one.id for one in messages(store) if one.resource == resource]
        assert [id_ for id_ in arrived if resource_of[id_] == resource] == wanted


def _failed_then(receiver: Receiver, position: int) -> bool:
    """Whether this request was the first of two."""
    return receiver.got[position].id in (one.id for one in receiver.got[position + 1 :])


# Endpoints in trouble


def test_an_endpoint_that_hangs_slows_no_other(store: Database, receiver: Receiver) -> None:
    make(store, receiver, "hangs", concurrency=2)
    make(store, receiver, "fine", concurrency=2)
    receiver.scripts["hangs"] = lambda _: HANGS
    tell_some(store, 40)
    begun = time.monotonic()
    deliver(store, lambda: len(receiver.at("fine")) == 40, "the other has all")
    assert time.monotonic() - begun < 4
    assert len(receiver.at("hangs")) <= 2 * (1 + int((time.monotonic() - begun) / QUICK.request))


def test_a_request_without_an_answer_is_a_failure_that_says_so(store: Database, receiver: Receiver) -> None:
    make(store, receiver, "hangs")
    make(store, receiver, "cuts")
    make_endpoint(store, "ep_nobody", "http://127.0.0.1:1/")
    receiver.scripts |= {"hangs": lambda _: HANGS, "cuts": lambda _: Answer(cut=True)}
    tell_some(store, 1)
    deliver(store, lambda: len(attempts_of(store)) == 3, "all three are tried", timing=replace(QUICK, request=0.3))
    errors = {one.endpoint_id: one.error or "" for one in deliveries_of(store)}
    assert "out of time" in errors["ep_hangs"]
    assert "no usable answer" in errors["ep_cuts"]
    assert "not sent" in errors["ep_nobody"]
    assert set(states(store)) == {PENDING}


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 70}.example", "xn--.example"])
def test_a_host_that_nothing_can_be_sent_to_is_a_failure_like_another(store: Database, host: str) -> None:
    make_endpoint(store, "ep_a", f"http://{host}/")
    tell_some(store, 1)
    deliver(store, lambda: bool(attempts_of(store)), "it is tried", guard=AddressGuard())
    (one,) = deliveries_of(store)
    assert (one.state, one.attempts) == (PENDING, 1)
    assert one.error
    assert "not sent" in one.error


def test_nothing_is_sent_to_a_guarded_address(store: Database, receiver: Receiver) -> None:
    make(store, receiver)
    tell_some(store, 1)
    deliver(store, lambda: bool(attempts_of(store)), "it is tried", guard=AddressGuard())
    assert receiver.got == []
    (one,) = deliveries_of(store)
    assert "loopback address" in (one.error or "")


def test_no_redirect_is_followed(store: Database, receiver: Receiver) -> None:
    make(store, receiver)
    receiver.scripts["a"] = lambda _: Answer(307, {"location": f"{receiver.url}/b"})
    tell_some(store, 1)
    deliver(store, lambda: bool(attempts_of(store)), "it is tried")
    assert receiver.at("b") == []
    assert deliveries_of(store)[0].error == "it answered 307"


@pytest.mark.parametrize("status", [429, 503])
def test_who_asks_for_a_wait_is_left_alone_for_as_long(store: Database, receiver: Receiver, status: int) -> None:
    make(store, receiver, concurrency=1)
    receiver.scripts["a"] = lambda _: Answer(status, {"retry-after": "1"}) if len(receiver.got) == 3 else FINE
    tell_some(store, 6)

    async def run() -> None:
        async with delivering(store):
            await until(lambda: states(store).count(DELIVERED) == 5, "what follows arrives")

    asyncio.run(run())
    times = [one.at for one in receiver.got]
    assert 1.0 <= times[3] - times[2] < 3
    assert max(after - before for before, after in pairwise(times[3:])) < 0.9


def test_failures_in_a_run_open_the_circuit_and_single_probes_close_it(store: Database, receiver: Receiver) -> None:
    make(store, receiver, concurrency=3)
    receiver.scripts["a"] = lambda _: BROKEN
    tell_some(store, 60)
    deliver(store, lambda: endpoint(store, "ep_a").failures >= OPENS_AFTER, "the circuit opens")
    sent = len(receiver.got)
    assert OPENS_AFTER <= sent < OPENS_AFTER + 3, "and what was under way then"
    assert states(store).count(PENDING) == 60
    for probes in (1, 2):
        set_endpoint(store, "ep_a", held_until=utc_now() - timedelta(seconds=1), owner=None)
        deliver(store, lambda wanted=probes: len(receiver.got) > sent + wanted - 1, "a probe goes out")
        assert len(receiver.got) == sent + probes
    receiver.scripts["a"] = lambda _: FINE
    set_endpoint(store, "ep_a", held_until=utc_now() - timedelta(seconds=1), owner=None)
    make_due(store)
    deliver_all(store)
    assert endpoint(store, "ep_a").failures == 0
    assert receiver.got[sent + 2].beside == 0


def test_gone_ends_it_for_that_endpoint_and_the_others_are_told(store: Database, receiver: Receiver) -> None:
    make(store, receiver, "gone", concurrency=2)
    make(store, receiver, "fine")
    receiver.scripts["gone"] = lambda _: Answer(410)
    tell_some(store, 20)
    deliver_all(store)
    assert endpoint(store, "ep_gone").state == DISABLED
    assert set(states(store, "ep_gone")) == {DEAD}
    assert len(receiver.at("gone")) <= 2
    assert types(store).count("endpoint.disabled") == 1
    assert receiver.at("fine")[-1].data["endpointId"] == "ep_gone"


def test_an_endpoint_whose_secret_no_key_opens_waits_and_the_others_are_served(
    store: Database, receiver: Receiver
) -> None:
    make(store, receiver, "locked")
    make(store, receiver, "fine")
    with store.write() as session:
        for one in endpoints.all_secrets(session):
            if one.endpoint_id == "ep_locked":
                one.sealed = "gAAAA"
    tell_some(store, 3)
    deliver(store, lambda: len(receiver.at("fine")) == 3, "the other has all")
    assert receiver.at("locked") == []
    assert states(store, "ep_locked") == [PENDING] * 3


def test_a_paused_endpoint_is_sent_no_more_within_moments(store: Database, receiver: Receiver) -> None:
    make(store, receiver, rate_limit=20)
    tell_some(store, 100)

    async def run() -> None:
        async with delivering(store):
            await until(lambda: bool(receiver.got), "it has begun")
            with store.write() as session:
                assert endpoints.pause(session, "ep_a")
            await asyncio.sleep(2 * QUICK.renewed_every)
            got = len(receiver.got)
            await asyncio.sleep(0.3)
            assert len(receiver.got) == got < 100

    asyncio.run(run())
    assert states(store).count(DELIVERED) == len(receiver.got)


@asynccontextmanager
async def courier_of(store: Database, **values: object) -> AsyncIterator[Courier]:
    """One that is not at work, of an endpoint that stands like this and is not held any more."""
    make_endpoint(store)
    if values:
        set_endpoint(store, **values)
    async with aclosing(Poster(LOOPBACK)) as poster:
        means = Means(store, poster, Sender("one", lambda: 0.5), utc_now)
        yield Courier(means, Owned(endpoint(store), (), timedelta(0)), [SECRET], 1e9)


def wait_of(courier: Courier) -> float:
    return courier._opens_at - asyncio.get_running_loop().time()


def test_what_a_courier_has_learnt_outlives_a_renewal_that_looked_before_it_was_recorded(store: Database) -> None:
    async def run() -> None:
        async with courier_of(store) as courier:
            for _ in range(OPENS_AFTER):
                courier._foresee(observe(courier._health, Reply(500), utc_now()))
            courier.renewed(Owned(endpoint(store), (), timedelta(0)), [SECRET], 1e9)
            assert courier._room == 1
            assert wait_of(courier) > 10

    asyncio.run(run())


def test_where_the_clock_is_behind_the_databases_a_probe_that_fails_is_a_probe_all_the_same(store: Database) -> None:
    async def run() -> None:
        ahead = utc_now() + timedelta(seconds=5)
        async with courier_of(store, failures=OPENS_AFTER, failing_since=ahead, held_until=ahead) as courier:
            courier._foresee(observe(courier._health, Reply(500), utc_now()))
            assert wait_of(courier) > 20

    asyncio.run(run())


# Stops and deaths


def test_a_stop_finishes_what_is_under_way_records_it_and_gives_the_endpoints_back(
    store: Database, receiver: Receiver
) -> None:
    make(store, receiver, concurrency=5)
    receiver.scripts["a"] = lambda _: Answer(delay=0.3)
    tell_some(store, 20)

    async def run() -> float:
        async with delivering(store) as stop:
            await until(lambda: len(receiver.got) == 5, "five are under way")
            begun = time.monotonic()
            stop.set()
        return time.monotonic() - begun

    assert asyncio.run(run()) < QUICK.stops_within
    assert Counter(states(store)) == {DELIVERED: 5, PENDING: 15}
    assert len(attempts_of(store)) == len(receiver.got) == 5
    until_ = endpoint(store, "ep_a").owner_until
    assert until_
    assert until_ < utc_now() + timedelta(seconds=1)


def test_a_stop_waits_for_no_answer_that_does_not_come(store: Database, receiver: Receiver) -> None:
    make(store, receiver, concurrency=1)
    receiver.scripts["a"] = lambda _: HANGS
    tell_some(store, 1)

    async def run() -> float:
        async with delivering(store, timing=replace(QUICK, lease=5.0, request=2.0, stops_within=0.2)) as stop:
            await until(lambda: len(receiver.got) == 1, "it is under way")
            begun = time.monotonic()
            stop.set()
        return time.monotonic() - begun

    assert asyncio.run(run()) < 1
    assert (states(store), attempts_of(store)) == ([PENDING], [])


class Exhausted(Database):
    """Its pool has no connection left, the first times that it is asked for one."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.times = 3

    def read(self):  # type: ignore[no-untyped-def]  # noqa: ANN201 - as its base has it
        if self.times:
            self.times -= 1
            raise PoolTimeout("QueuePool limit of size 5 overflow 10 reached")
        return super().read()


def test_a_deliverer_outlives_a_pool_without_connections(sqlite_store: Database, receiver: Receiver) -> None:
    make(sqlite_store, receiver)
    tell_some(sqlite_store, 1)
    database = Exhausted(sqlite_store.url)

    async def run() -> None:
        async with delivering(database):
            await until(lambda: bool(receiver.got), "it arrives")

    asyncio.run(run())
    database.close()


class Broken(Poster):
    """Fails as no poster should, the first time."""

    async def post(self, *_: object) -> Reply:
        raise RuntimeError("a bug")


def test_a_bug_in_the_sending_is_an_attempt_like_another_and_leaves_no_delivery_stuck(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 2)
    deliver(store, lambda: len(attempts_of(store)) == 2, "both are tried", poster=Broken(LOOPBACK))
    assert [(one.state, one.attempts, one.error) for one in deliveries_of(store)] == [
        (PENDING, 1, "not sent: RuntimeError('a bug')")
    ] * 2
