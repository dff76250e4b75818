"""A deliverer at work against real receivers: everything arrives, once, signed, and a stop loses nothing."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout
from standardwebhooks import Webhook

from tests.integration.webhook_rig import (
    HANGS,
    PATIENT,
    QUICK,
    SEALER,
    SECRET,
    Answer,
    Receiver,
    attempts_of,
    deliver_all,
    deliveries_of,
    delivering,
    endpoint,
    happening,
    make,
    messages,
    receiving,
    states,
    tell,
    tell_some,
    until,
)
from tests.services.stores import on_both, on_sqlite
from worker.clock import utc_now
from worker.store import endpoints
from worker.store.engine import Database
from worker.store.outbox import DELIVERED, PENDING
from worker.webhooks import signing

pytestmark = on_sqlite

BROKEN = Answer(500)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


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
        async with delivering(store, timing=replace(QUICK, leaves_after=60.0)):
            tell_some(store, 1)
            await until(lambda: bool(receiver.got), "the first arrives")
            with store.write() as session:
                endpoints.rotate(session, "ep_a", "v1", SEALER.seal(new), timedelta(0))
            for _ in range(2):  # whoever renews again has taken in what the last renewal found
                ours_until = endpoint(store, "ep_a").owner_until
                await until(lambda past=ours_until: endpoint(store, "ep_a").owner_until != past, "it is renewed")
            tell_some(store, 1)
            await until(lambda: len(receiver.got) == 2, "the second arrives")

    asyncio.run(run())
    for got, secret in zip(receiver.got, (SECRET, new), strict=True):
        assert Webhook(secret).verify(got.body, dict(got.headers))


def test_a_paused_endpoint_is_sent_no_more_within_moments(store: Database, receiver: Receiver) -> None:
    make(store, receiver, rate_limit=20)
    tell_some(store, 100)

    async def run() -> None:
        async with delivering(store):
            await until(lambda: bool(receiver.got), "it has begun")
            with store.write() as session:
                assert endpoints.pause(session, "ep_a")
            got = 0
            while got < len(receiver.got):
                got = len(receiver.got)
                await asyncio.sleep(10 / 20)  # in which ten more would have come
            assert got < 100

    asyncio.run(run())
    assert states(store).count(DELIVERED) == len(receiver.got)


def test_a_stop_finishes_what_is_under_way_records_it_and_gives_the_endpoints_back(
    store: Database, receiver: Receiver
) -> None:
    make(store, receiver, concurrency=5)
    receiver.scripts["a"] = lambda _: Answer(delay=0.3)
    tell_some(store, 100)

    async def run() -> float:
        async with delivering(store, timing=PATIENT) as stop:
            await until(lambda: len(receiver.got) >= 5, "five are under way")
            begun = time.monotonic()
            stop.set()
        return time.monotonic() - begun

    assert asyncio.run(run()) < PATIENT.stops_within
    got = len(receiver.got)
    assert 5 <= got < 100
    assert Counter(states(store)) == {DELIVERED: got, PENDING: 100 - got}
    assert len(attempts_of(store)) == got
    until_ = endpoint(store, "ep_a").owner_until
    assert until_
    assert until_ < utc_now() + timedelta(seconds=PATIENT.lease / 2)


def test_a_stop_waits_for_no_answer_that_does_not_come(store: Database, receiver: Receiver) -> None:
    make(store, receiver, concurrency=1)
    receiver.scripts["a"] = lambda _: HANGS
    tell_some(store, 1)

    async def run() -> float:
        async with delivering(store, timing=replace(PATIENT, stops_within=0.2)) as stop:
            await until(lambda: len(receiver.got) == 1, "it is under way")
            begun = time.monotonic()
            stop.set()
        return time.monotonic() - begun

    assert asyncio.run(run()) < PATIENT.request / 2
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
