"""As many at once, as many a second, and in such an order as the endpoint takes: counted at the receiver."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from tests.integration.webhook_rig import (
    Answer,
    Got,
    Receiver,
    attempts_of,
    deliver_all,
    delivering,
    happening,
    left,
    make,
    make_due,
    messages,
    receiving,
    tell,
    tell_some,
)
from tests.services.stores import on_sqlite
from worker.store.engine import Database

pytestmark = on_sqlite

BROKEN = Answer(500)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def test_no_more_are_under_way_than_the_endpoint_takes(store: Database, receiver: Receiver) -> None:
    make(store, receiver, concurrency=4)
    full = threading.Event()

    def four_at_once(got: Got) -> Answer:
        if got.beside == 3:
            full.set()
        return Answer(delay=0.03, ready=full.is_set)

    receiver.scripts["a"] = four_at_once
    tell_some(store, 30)
    deliver_all(store)
    assert max(one.beside for one in receiver.got) == 3, "four at once, and that many"


def test_no_more_come_in_any_second_than_the_rate(store: Database, receiver: Receiver) -> None:
    rate = 10
    make(store, receiver, rate_limit=rate)
    tell_some(store, 25)
    begun = time.monotonic()
    deliver_all(store)
    for already, got in enumerate(receiver.got):  # a slow machine may let arrivals crowd, but none comes too early
        assert got.at - begun >= already // rate
    assert receiver.got[-1].at - begun < 10, "nor much slower"


def test_what_an_owner_has_sent_in_its_last_second_counts_for_the_next_one(store: Database, receiver: Receiver) -> None:
    make(store, receiver, rate_limit=5)
    tell_some(store, 5)
    begun = time.monotonic()
    deliver_all(store, name="one")
    tell_some(store, 1)
    deliver_all(store, name="two")
    assert receiver.got[-1].at - begun > 0.9
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
            async with asyncio.timeout(60):
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
