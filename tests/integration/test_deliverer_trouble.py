"""Endpoints that hang, fail, ask for a wait or are gone: none slows another, and none is sent more than it can take."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.integration.webhook_rig import (
    FINE,
    HANGS,
    LOOPBACK,
    PATIENT,
    QUICK,
    SECRET,
    Answer,
    Receiver,
    attempts_of,
    deliver,
    deliver_all,
    deliveries_of,
    delivering,
    endpoint,
    make,
    make_due,
    make_endpoint,
    receiving,
    set_endpoint,
    states,
    tell_some,
    types,
    until,
)
from tests.services.stores import on_sqlite
from worker.clock import utc_now
from worker.core.delivery import OPENS_AFTER, Reply, observe
from worker.store import endpoints
from worker.store.deliveries import Sender
from worker.store.endpoints import Owned
from worker.store.engine import Database
from worker.store.outbox import DEAD, DELIVERED, DISABLED, PENDING
from worker.webhooks.address import AddressGuard
from worker.webhooks.courier import Courier, Means
from worker.webhooks.post import Poster

pytestmark = on_sqlite

BROKEN = Answer(500)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def test_an_endpoint_that_hangs_slows_no_other(store: Database, receiver: Receiver) -> None:
    make(store, receiver, "hangs", concurrency=2)
    make(store, receiver, "fine", concurrency=2)
    receiver.scripts["hangs"] = lambda _: HANGS
    tell_some(store, 40)
    unanswered = replace(PATIENT, stops_within=0.2)
    deliver(store, lambda: len(receiver.at("fine")) == 40, "the other has all", timing=unanswered)
    assert len(receiver.at("hangs")) <= 2


def test_a_request_that_is_not_answered_in_time_is_a_failure_that_says_so(store: Database, receiver: Receiver) -> None:
    make(store, receiver, "hangs")
    receiver.scripts["hangs"] = lambda _: HANGS
    tell_some(store, 1)
    deliver(store, lambda: bool(attempts_of(store)), "it is tried", timing=replace(QUICK, request=0.3))
    assert "out of time" in (deliveries_of(store)[0].error or "")
    assert states(store) == [PENDING]


def test_a_request_without_an_answer_is_a_failure_that_says_so(store: Database, receiver: Receiver) -> None:
    make(store, receiver, "cuts")
    make_endpoint(store, "ep_nobody", "http://127.0.0.1:1/")
    receiver.scripts["cuts"] = lambda _: Answer(cut=True)
    tell_some(store, 1)
    deliver(store, lambda: len(attempts_of(store)) == 2, "both are tried", timing=PATIENT)
    errors = {one.endpoint_id: one.error or "" for one in deliveries_of(store)}
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
    assert receiver.got[3].at - receiver.got[2].at >= 1.0
    held_until = endpoint(store, "ep_a").held_until
    assert held_until is None or held_until <= utc_now(), "for no longer"


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
