"""Deliverers that are killed, and a database that goes away: all arrives under its id, and nearly all of it once."""

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.webhook_rig import (
    PATIENT,
    QUICK,
    Answer,
    Receiver,
    attempts_of,
    endpoint,
    left,
    make,
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
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def spawn(store: Database, name: str, tmp_path: Path, lease: float = QUICK.lease) -> int:
    command = [sys.executable, "-m", "tests.integration.webhook_rig", store.url, name, str(lease)]
    return processes.spawn(command, tmp_path / f"{name}.log")


def test_of_two_processes_one_is_killed_and_the_other_takes_over_all_of_it_under_the_same_ids(
    sqlite_store: Database, receiver: Receiver, tmp_path: Path
) -> None:
    store = sqlite_store
    for path in PATHS:
        receiver.scripts[path] = lambda _: Answer(delay=0.05)
        make(store, receiver, path, concurrency=CONCURRENCY)
    tell_some(store, 30)
    pids = {name: spawn(store, name, tmp_path) for name in ("first", "second")}
    try:
        processes.wait_until(lambda: len(receiver.got) > 20, "some have arrived")
        killed = endpoint(store, "ep_a").owner or ""
        processes.end(pids[killed], signal.SIGKILL)
        processes.wait_until(lambda: left(store) == 0, "the other has delivered all", seconds=90)
        (other,) = {*pids} - {killed}
        assert processes.end(pids[other]) == 0, (tmp_path / f"{other}.log").read_text()
    finally:
        for pid in pids.values():
            if processes.alive(pid):
                processes.end(pid, signal.SIGKILL)
    told = {one.id for one in messages(store)}
    for path in PATHS:
        got = Counter(receiver.ids(path))
        assert set(got) == told
        assert got.total() - len(got) <= MOST_TWICE
    assert {one.sender for one in attempts_of(store)} == {*pids}


@pytest.mark.postgres
def test_a_database_that_restarts_costs_no_message(
    postgres_server: PostgresServer, postgres_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    database = Database(postgres_url)
    schema.upgrade(database)
    make(database, receiver, rate_limit=50)
    tell_some(database, 60)
    deliverer = spawn(database, "one", tmp_path, PATIENT.lease)
    processes.wait_until(lambda: len(receiver.got) > 10, "it has begun")
    postgres_server.restart()
    processes.wait_until(lambda: left(database) == 0, "all is delivered", seconds=90)
    assert processes.end(deliverer) == 0, (tmp_path / "one.log").read_text()
    assert Counter(receiver.ids()) == Counter(one.id for one in messages(database)), "each once: all was recorded later"
    database.close()
