"""The dispatcher brings due rows to the broker: few at a time, ids only, once, and again when the broker forgets."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from celery import Celery
from sqlalchemy import update

from schemas.lanes import Lane
from tests.integration.store_rig import REMOTE, change, job, job_ids, take, wish
from tests.services.valkey import ValkeyServer
from worker.app import TASK, make_app, queue_key
from worker.core.chunks import LARGEST_WINDOW, chunk_size, window
from worker.core.decisions import ALONE_AFTER
from worker.loops.dispatcher import LONGEST_QUEUE, Dispatcher
from worker.store import quarantine
from worker.store.engine import Database
from worker.store.pauses import pause
from worker.store.tables import quarantines

FAST = replace(REMOTE, rate_limit="1000/second")


@pytest.fixture
def app(valkey: str) -> Iterator[Celery]:
    app = make_app(valkey)
    yield app
    app.close()


@pytest.fixture
def client(valkey: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey, socket_timeout=5) as client:
        yield client


@pytest.fixture
def dispatcher(store: Database, app: Celery, client: redis.Redis) -> Dispatcher:
    return Dispatcher(store, app, client, [REMOTE])


def messages(client: redis.Redis, lane: Lane = Lane.BULK) -> list[dict[str, Any]]:
    """What lies in a lane's queue, oldest first."""
    raw = client.lrange("coachsync:coachsync." + lane, 0, -1)
    return [_arguments(json.loads(one)) for one in reversed(raw)]


def _arguments(message: dict[str, Any]) -> dict[str, Any]:
    assert message["headers"]["task"] == TASK
    assert message["content-type"] == "application/json"
    _, keywords, _ = json.loads(base64.b64decode(message["body"]))
    return dict(keywords)


def ids(client: redis.Redis, lane: Lane = Lane.BULK) -> list[int]:
    return [id_ for message in messages(client, lane) for id_ in message["job_ids"]]


def test_a_message_carries_ids_of_one_remote_and_lane_and_nothing_else(
    store: Database, dispatcher: Dispatcher, client: redis.Redis
) -> None:
    bulk = job_ids(store, wish(1), wish(2))
    urgent = job_ids(store, wish(3), lane=Lane.INTERACTIVE)
    assert dispatcher.run_once() == 3
    assert messages(client) == [{"remote": "default", "lane": "bulk", "job_ids": bulk, "probe": False}]
    assert ids(client, Lane.INTERACTIVE) == urgent


def test_a_lane_that_is_paused_brings_nothing_and_holds_no_worker(
    store: Database, dispatcher: Dispatcher, client: redis.Redis
) -> None:
    job_ids(store, wish(1))
    urgent = job_ids(store, wish(2), lane=Lane.INTERACTIVE)
    with store.write() as session:
        pause(session, "default", Lane.BULK, timedelta(minutes=1))
    assert dispatcher.run_once() == 1
    assert (ids(client), ids(client, Lane.INTERACTIVE)) == ([], urgent)


def test_while_nobody_takes_messages_they_do_not_pile_up(
    store: Database, dispatcher: Dispatcher, client: redis.Redis
) -> None:
    job_ids(store, wish(1))
    client.lpush(queue_key(dispatcher.app, Lane.BULK), *["a message"] * LONGEST_QUEUE)
    assert dispatcher.run_once() == 0
    client.rpop(queue_key(dispatcher.app, Lane.BULK))
    assert dispatcher.run_once() == 1


def test_what_lies_with_the_broker_is_not_brought_again(
    store: Database, dispatcher: Dispatcher, client: redis.Redis
) -> None:
    jobs = job_ids(store, wish(1))
    assert [dispatcher.run_once(), dispatcher.run_once()] == [1, 0]
    assert ids(client) == jobs


def test_the_broker_holds_seconds_of_work_in_chunks_whatever_the_backlog(
    store: Database, dispatcher: Dispatcher, client: redis.Redis
) -> None:
    job_ids(store, *(wish(number) for number in range(250)))
    most, size = window(10), chunk_size(10)
    assert dispatcher.run_once() == most < 250
    assert [len(message["job_ids"]) for message in messages(client)] == [size] * (most // size)
    assert most <= LARGEST_WINDOW
    taken = ids(client)[:size]
    take(store, *taken)
    assert dispatcher.run_once() == size, "what was taken makes room"


def test_two_dispatchers_at_once_bring_each_row_once(store: Database, app: Celery, client: redis.Redis) -> None:
    jobs = job_ids(store, *(wish(number) for number in range(300)))
    both = [Dispatcher(store, app, client, [FAST]) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        rounds = list(threads.map(lambda one: one.run_once(), both * 3))
    assert sum(rounds) == 300
    assert sorted(ids(client)) == jobs


def test_a_broker_that_is_away_leaves_all_as_it_was(
    store: Database, dispatcher: Dispatcher, client: redis.Redis, valkey_server: ValkeyServer
) -> None:
    jobs = job_ids(store, wish(1))
    valkey_server.kill()
    assert dispatcher.run_once() == 0
    assert job(store, jobs[0]).published_until is None
    valkey_server.restart()
    assert dispatcher.run_once() == 1
    assert ids(client) == jobs


def test_a_broker_that_goes_away_in_the_middle_gets_the_rest_later(
    store: Database, app: Celery, client: redis.Redis, valkey_server: ValkeyServer
) -> None:
    class Dying(Dispatcher):
        def _publish(self, messages: Any) -> int:
            valkey_server.kill()
            return super()._publish(messages)

    jobs = job_ids(store, *(wish(number) for number in range(30)))
    assert Dying(store, app, client, [REMOTE]).run_once() == 0
    assert all(job(store, one).published_until is None for one in jobs)
    valkey_server.restart()
    assert Dispatcher(store, app, client, [REMOTE]).run_once() == 30


def test_a_broker_that_has_lost_everything_is_noticed(
    store: Database, dispatcher: Dispatcher, client: redis.Redis, valkey_server: ValkeyServer
) -> None:
    jobs = job_ids(store, wish(1), wish(2))
    dispatcher.run_once()
    valkey_server.flush()
    assert dispatcher.run_once() == 2
    assert ids(client) == jobs


def test_who_has_lost_workers_travels_alone(store: Database, dispatcher: Dispatcher, client: redis.Redis) -> None:
    jobs = job_ids(store, *(wish(number) for number in range(4)))
    change(store, jobs[:2], crashes=ALONE_AFTER)
    dispatcher.run_once()
    assert sorted(message["job_ids"] for message in messages(client)) == [[jobs[0]], [jobs[1]], jobs[2:]]


def test_a_remote_in_quarantine_gets_one_probe_when_it_is_due(
    store: Database, dispatcher: Dispatcher, client: redis.Redis
) -> None:
    job_ids(store, *(wish(number) for number in range(5)))
    with store.write() as session:
        quarantine.put_aside(session, "default", "nobody is let in")
    assert dispatcher.run_once() == 0
    _let_probe_be_due(store)
    assert [dispatcher.run_once(), dispatcher.run_once()] == [1, 0]
    (probe,) = messages(client, Lane.INTERACTIVE)
    assert probe["probe"] is True
    with store.write() as session:
        quarantine.release(session, "default")
    assert dispatcher.run_once() == 5


def test_a_quarantined_remote_that_asked_for_a_wait_gets_no_probe_before_it_is_over(
    store: Database, dispatcher: Dispatcher
) -> None:
    job_ids(store, wish(1))
    with store.write() as session:
        quarantine.put_aside(session, "default", "maintenance")
        pause(session, "default", None, timedelta(hours=1))
    _let_probe_be_due(store)
    assert dispatcher.run_once() == 0
    with store.read() as session:
        standing = quarantine.find(session, "default")
    assert standing
    assert standing.probes == 0, "none was sent"


def test_one_remote_in_quarantine_does_not_hold_up_another(store: Database, app: Celery, client: redis.Redis) -> None:
    jobs = job_ids(store, wish(1), wish(2))
    change(store, jobs[:1], remote="other")
    with store.write() as session:
        quarantine.put_aside(session, "default", "down")
    Dispatcher(store, app, client, [REMOTE, replace(REMOTE, name="other")]).run_once()
    assert ids(client) == jobs[:1]


def test_a_row_that_is_not_due_yet_waits(store: Database, dispatcher: Dispatcher) -> None:
    (one,) = job_ids(store, wish(1))
    change(store, [one], due_at=job(store, one).due_at + timedelta(hours=1))
    assert dispatcher.run_once() == 0


def _let_probe_be_due(store: Database) -> None:
    with store.write() as session:
        session.execute(update(quarantines).values(probe_due_at=datetime(2020, 1, 1, tzinfo=UTC)))
