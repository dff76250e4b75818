"""Events of the roster from a Redis stream: acknowledged after their commit, and taken over from the dead."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.roster_rig import NARROW, OPEN, aside, rows, submit, there, told, told_all
from tests.services.valkey import ValkeyServer
from worker.intake.roster_delivery import Door, Entry, deliver
from worker.loops.stream_consumer import GROUP, StreamConsumer
from worker.store.engine import Database

STREAM = "hr:roster"
AT_ONCE = timedelta(0)


@pytest.fixture
def client(valkey: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey, socket_timeout=5) as client:
        yield client


def reader(store: Database, client: redis.Redis, name: str = "here:1", **how: timedelta) -> StreamConsumer:
    return StreamConsumer(store, client, STREAM, OPEN, name, **how)


def add(client: redis.Redis, *given: dict[str, Any] | str, field: str = "event") -> list[bytes]:
    return [
        client.xadd(STREAM, {field: one if isinstance(one, str) else json.dumps(one)})  # type: ignore[misc]
        for one in given
    ]


def pending(client: redis.Redis) -> int:
    found: Any = client.xpending(STREAM, GROUP)
    return int(found["pending"])


def take_and_die(client: redis.Redis, name: str = "gone:1") -> list[tuple[bytes, dict[bytes, bytes]]]:
    """What is left by a process that has read and not acknowledged."""
    found: Any = client.xreadgroup(GROUP, name, {STREAM: ">"}, count=100)
    entries: list[tuple[bytes, dict[bytes, bytes]]] = found[0][1]
    return entries


@pytest.mark.parametrize("field", ["event", "data"])
def test_what_is_in_the_stream_is_taken_and_acknowledged(store: Database, client: redis.Redis, field: str) -> None:
    add(client, told("joined", "ann"), told("joined", "bob"), told_all(["bob"], 1), field=field)
    assert reader(store, client).run_once() == 3
    assert there(store) == {"bob"}
    assert pending(client) == 0
    assert reader(store, client).run_once() == 0
    assert {row.door for row in rows(store)} == {"stream"}


def test_a_crash_between_commit_and_acknowledgement_makes_no_second_event(store: Database, client: redis.Redis) -> None:
    reader(store, client).run_once()
    add(client, told("joined", "ann"), "{", told("joined", "bob"))
    left = take_and_die(client)
    entries = [Entry(id_.decode(), fields[b"event"]) for id_, fields in left]
    deliver(store, entries, Door("stream", "a stream"), OPEN)

    assert reader(store, client, dead_after=AT_ONCE).run_once() == 3

    assert (len(rows(store)), len(aside(store)), pending(client)) == (2, 1, 0)


def test_what_a_dead_process_had_taken_is_taken_over(store: Database, client: redis.Redis) -> None:
    reader(store, client).run_once()
    add(client, told("joined", "ann"))
    take_and_die(client)
    assert reader(store, client).run_once() == 0, "whoever took it may still be at it"
    assert reader(store, client, dead_after=AT_ONCE).run_once() == 1
    assert there(store) == {"ann"}
    assert pending(client) == 0


def test_what_is_no_event_is_set_aside_with_its_reason_and_holds_up_nobody(
    store: Database, client: redis.Redis
) -> None:
    wrong = add(client, "{", '{"type": "coaching.roster.agent.joined"}', told("joined", "a b"), told("left", "x", 1e6))
    wrong.append(client.xadd(STREAM, {b"evnt": b"{}", b"\xff": b"\x00"}))  # type: ignore[arg-type]
    add(client, told("joined", "ann"))

    assert reader(store, client).run_once() == 6

    kept = aside(store)
    assert [one.entry for one in kept] == [id_.decode() for id_ in wrong]
    words = ("not valid JSON", "specversion: required", "data.agent: ", "time: 2140", "no field event or data")
    for one, reason in zip(kept, words, strict=True):
        assert reason in one.reason
    assert kept[0].content == "{"
    assert there(store) == {"ann"}
    assert pending(client) == 0


def test_an_entry_that_was_trimmed_after_it_was_taken_is_told_of(store: Database, client: redis.Redis) -> None:
    consumer = reader(store, client)
    consumer.run_once()
    (lost,) = add(client, told("joined", "ann"))
    take_and_die(client, consumer.name)
    client.xdel(STREAM, lost)
    assert consumer.run_once() == 1
    assert ["deleted from the stream" in one.reason for one in aside(store)] == [True]
    assert pending(client) == 0


def test_several_readers_share_what_there_is(store: Database, client: redis.Redis) -> None:
    add(client, *(told("joined", f"a{number}") for number in range(1_500)))
    consumers = [reader(store, client, f"here:{number}") for number in range(3)]
    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(lambda consumer: consumer.run_once(), consumers)) == 1_500
    assert len(rows(store)) == len(there(store)) == 1_500


def test_what_the_guard_stops_is_held_and_acknowledged(store: Database, client: redis.Redis) -> None:
    submit(store, [told_all([f"a{number}" for number in range(20)])])
    add(client, told_all([], 1))
    StreamConsumer(store, client, STREAM, NARROW, "here:1").run_once()
    assert rows(store)[-1].state == "held"
    assert pending(client) == 0


def test_what_could_not_be_taken_while_the_database_was_away_is_taken_when_it_is_back(
    store: Database, client: redis.Redis, tmp_path: Path
) -> None:
    away = Database(f"sqlite:///{tmp_path / 'nowhere' / 'coachsync.db'}")
    add(client, told("joined", "ann"))
    with pytest.raises(Exception, match="unable to open"):
        reader(away, client).run_once()
    assert pending(client) == 1
    assert reader(store, client).run_once() == 1
    assert there(store) == {"ann"}


def test_a_broker_that_is_away_is_waited_for_without_a_word(
    store: Database, client: redis.Redis, valkey_server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = reader(store, client)
    valkey_server.kill()
    assert consumer.run_once() == 0
    valkey_server.restart()
    add(client, told("joined", "ann"))
    assert consumer.run_once() == 1
    valkey_server.restart()
    assert consumer.run_once() == 0
    add(client, told("joined", "bob"))
    assert sum(consumer.run_once() for _ in range(2)) == 1
    assert there(store) == {"ann", "bob"}
    assert not [record for record in caplog.records if record.levelname != "INFO"]


def test_a_key_that_is_no_stream_is_said_aloud(store: Database, client: redis.Redis) -> None:
    client.set(STREAM, "a text")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        reader(store, client).run_once()


def test_readers_that_are_long_gone_are_forgotten_once_they_have_nothing_left(
    store: Database, client: redis.Redis
) -> None:
    reader(store, client, "idle:1").run_once()
    add(client, told("joined", "ann"))
    take_and_die(client, "died:1")
    reader(store, client, "here:2", forgotten_after=timedelta(milliseconds=-1)).run_once()
    names: Any = client.xinfo_consumers(STREAM, GROUP)
    assert {one["name"] for one in names} == {b"died:1", b"here:2"}
