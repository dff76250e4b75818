"""Deliverers that are killed, and a database that goes away: all arrives under its id, and nearly all of it once."""

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli_rig import chosen_store, on_both
from tests.integration.webhook_rig import (
    Answer,
    Receiver,
    attempts_of,
    endpoint,
    left,
    make_endpoint,
    messages,
    receiving,
    tell_some,
)
from tests.services import processes
from tests.services.postgres import PostgresServer
from worker.store import schema
from worker.store.engine import Database

PATHS = "abcd"
CONCURRENCY = 2
MOST_TWICE = 20  # an endpoint: what was under way, and what was answered and not recorded yet


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Database:
    return chosen_store(request)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def spawn(store: Database, name: str, tmp_path: Path) -> int:
    command = [sys.executable, "-m", "tests.integration.webhook_rig", store.url, name]
    return processes.spawn(command, tmp_path / f"{name}.log")


@on_both
def test_of_two_processes_one_is_killed_and_the_other_takes_over_all_of_it_under_the_same_ids(
    store: Database, receiver: Receiver, tmp_path: Path
) -> None:
    for path in PATHS:
        receiver.scripts[path] = lambda _: Answer(delay=0.05)
        make_endpoint(store, f"ep_{path}", f"{receiver.url}/{path}", concurrency=CONCURRENCY)
    tell_some(store, 40)
    first, second = spawn(store, "first", tmp_path), spawn(store, "second", tmp_path)
    try:
        owners = ("first", "second")
        processes.wait_until(
            lambda: len(receiver.got) > 20 and {endpoint(store, f"ep_{path}").owner for path in PATHS} == {*owners},
            "both are at work",
        )
        processes.end(first, signal.SIGKILL)
        processes.wait_until(lambda: left(store) == 0, "the other has delivered all", seconds=20)
        assert processes.end(second) == 0, (tmp_path / "second.log").read_text()
    finally:
        for pid in (first, second):
            if processes.alive(pid):
                processes.end(pid, signal.SIGKILL)
    told = {one.id for one in messages(store)}
    for path in PATHS:
        got = Counter(receiver.ids(path))
        assert set(got) == told
        assert got.total() - len(got) <= MOST_TWICE
    assert {"first", "second"} == {one.sender for one in attempts_of(store)}


@pytest.mark.postgres
def test_a_database_that_restarts_costs_no_message(
    postgres_server: PostgresServer, postgres_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    database = Database(postgres_url)
    schema.upgrade(database)
    make_endpoint(database, "ep_a", f"{receiver.url}/a", rate_limit=50)
    tell_some(database, 60)
    deliverer = spawn(database, "one", tmp_path)
    processes.wait_until(lambda: len(receiver.got) > 10, "it has begun")
    postgres_server.restart()
    processes.wait_until(lambda: left(database) == 0, "all is delivered", seconds=20)
    assert processes.end(deliverer) == 0, (tmp_path / "one.log").read_text()
    assert Counter(receiver.ids()) == Counter(one.id for one in messages(database)), "each once: all was recorded later"
    database.close()
