"""How far a batch is, as server-sent events: each state once, until it has ended, or the gateway stops."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import httpx
import pytest

from tests.integration.gateway_rig import Gateway, gateway_on
from tests.integration.store_rig import applied, job_ids, offer, take_one, wish, write
from tests.services.processes import wait_until
from worker.core.access import Scope
from worker.store.engine import Database
from worker.store.tables import api_tokens


@pytest.fixture
def gateway(sqlite_store: Database, tmp_path: Path) -> Iterator[Gateway]:
    with gateway_on(sqlite_store, tmp_path) as one:
        yield one


@pytest.fixture
def reader(gateway: Gateway) -> httpx.Client:
    return gateway.client(Scope.READ)


def events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    event: dict[str, Any] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line == "" and "data" in event:
            yield event | {"data": json.loads(event["data"])}
            event = {}
        elif name:
            event[name] = value


def test_each_state_is_told_once_and_the_last_ends_it(sqlite_store: Database, reader: httpx.Client) -> None:
    first, second = job_ids(sqlite_store, wish(1), wish(2))
    told = []
    with reader.stream("GET", "/v1/batches/1/events") as answer:
        for event in events(answer):
            told.append((event["event"], event["data"]["succeeded"]))
            if len(told) < 3:
                write(sqlite_store, applied(take_one(sqlite_store, (first, second)[len(told) - 1])))
    assert told == [("progress", 0), ("progress", 1), ("completed", 2)]


def test_who_comes_back_is_not_told_again(sqlite_store: Database, reader: httpx.Client) -> None:
    (job,) = job_ids(sqlite_store, wish(1))
    with reader.stream("GET", "/v1/batches/1/events") as answer:
        before = next(events(answer))
    with reader.stream("GET", "/v1/batches/1/events", headers={"Last-Event-ID": before["id"]}) as answer:
        with reader.stream("GET", "/v1/batches/1/events") as newcomer:
            assert next(events(newcomer)) == before | {"data": ANY, "retry": "2000"}  # it was looked at meanwhile
        write(sqlite_store, applied(take_one(sqlite_store, job)))
        (after,) = events(answer)
    assert after["event"] == "completed"
    assert reader.get("/v1/batches/1/events", headers={"Last-Event-ID": after["id"]}).status_code == 204


def test_who_listens_hears_no_more_once_their_token_is_revoked(gateway: Gateway, reader: httpx.Client) -> None:
    (job,) = job_ids(gateway.store, wish(1))
    with reader.stream("GET", "/v1/batches/1/events") as answer:
        stream = events(answer)
        next(stream)
        with gateway.store.write() as session:
            session.execute(api_tokens.update().values(revoked_at=api_tokens.c.created_at))
        gateway.clock.ahead += 2.1
        write(gateway.store, applied(take_one(gateway.store, job)))
        assert list(stream) == []


def test_who_leaves_is_forgotten_and_a_stop_ends_the_others(gateway: Gateway, reader: httpx.Client) -> None:
    offer(gateway.store, wish(1))
    with reader.stream("GET", "/v1/batches/1/events") as answer:
        assert next(events(answer))["event"] == "progress"
    with reader.stream("GET", "/v1/batches/1/events") as answer:
        stream = events(answer)
        next(stream)
        gateway.stop()
        assert list(stream) == []
    wait_until(lambda: not gateway.listens(), "the gateway has stopped")
