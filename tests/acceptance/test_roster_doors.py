"""Events of the roster through running processes: a Celery task that another service sends, and a Redis stream."""

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from tests.acceptance.installation import Config, Installation, installed, wait_until
from tests.acceptance.process_tree import descendants
from tests.integration.roster_rig import aside, rows, there, told
from tests.services.postgres import PostgresServer
from tests.services.valkey import ValkeyServer

STREAM = "hr:roster"
PREFIX = {"global_keyprefix": "coachsync:"}
TASK, QUEUE = "coachsync.submit_roster_events", "coachsync.intake"


@pytest.fixture(scope="module")
def site() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="coachsync-roster-") as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "coachsync.toml").write_text(f'[roster]\nstream = "{STREAM}"\n')
        valkey = ValkeyServer(folder)
        stack.callback(valkey.stop)
        config = Config(f"sqlite:///{folder / 'coachsync.db'}", targets=10)
        site = stack.enter_context(installed(config, folder, valkey))
        site.start_all(loops=2)
        yield site


@pytest.fixture
def sender(site: Installation) -> Iterator[Celery]:
    """An application that has none of our code."""
    site.revive()
    with Celery(broker=site.valkey.url, broker_transport_options=PREFIX) as sender:
        yield sender


def _send(sender: Celery, *arguments: Any, **named: Any) -> None:
    sender.send_task(TASK, arguments, named, queue=QUEUE)


def _await(site: Installation, agents: set[str]) -> None:
    wait_until(lambda: agents <= there(site.runtime.database), f"{agents} are there", seconds=90)


def test_what_another_service_sends_is_taken_and_what_is_no_event_set_aside(site: Installation, sender: Celery) -> None:
    database = site.runtime.database
    _send(sender, [told("joined", "ann", id_="1"), {"type": "gone"}, told("joined", "bob", id_="2")])
    _send(sender, events=[told("joined", "cid", id_="3")])
    _send(sender, told("joined", "dan", id_="4"))
    _send(sender, [told("joined", "ann", id_="1")], "and more")
    _await(site, {"ann", "bob", "cid", "dan"})
    wait_until(lambda: len(aside(database)) == 2, "both are set aside", seconds=90)
    assert {row.event_id: row.door for row in rows(database)} == dict.fromkeys("1234", "celery")
    assert sorted(one.reason.partition(":")[0] for one in aside(database)) == [
        "the task takes one argument", "type",
    ]  # fmt: skip


def test_a_message_whose_worker_process_dies_is_taken_once(site: Installation, sender: Celery) -> None:
    processes = [child for name in ("worker-1", "worker-2") for child in descendants(site.started[name].pid)]
    with site.runtime.database.write():  # nobody else gets in: the message is in one's hands
        _send(sender, [told("joined", "eve", id_="5")])
        wait_until(lambda: not _queued(site), "one has taken it", seconds=90)
        for each in processes:
            os.kill(each, signal.SIGKILL)
    _await(site, {"eve"})
    assert [row.event_id for row in rows(site.runtime.database)].count("5") == 1


@pytest.mark.postgres
def test_while_the_database_is_away_a_message_waits_in_its_queue(
    postgres_server: PostgresServer, own_valkey: ValkeyServer, restartable_postgres_url: str, tmp_path: Path
) -> None:
    with installed(Config(restartable_postgres_url, targets=10), tmp_path, own_valkey) as site:
        worker = site.start_worker("worker-1")
        worker.ready()
        with Celery(broker=own_valkey.url, broker_transport_options=PREFIX) as sender:
            postgres_server.stop()
            _send(sender, [told("joined", "fay", id_="6"), "nobody"])
            wait_until(lambda: "roster_events_wait" in worker.logs(), "it goes back", seconds=90)
            postgres_server.restart()
        _await(site, {"fay"})
        assert (len(rows(site.runtime.database)), len(aside(site.runtime.database))) == (1, 1)


def test_what_is_added_to_the_stream_is_taken_whichever_loops_die(site: Installation, sender: Celery) -> None:  # noqa: ARG001 - all run
    with redis.Redis.from_url(site.valkey.url) as client:
        for number in range(100):
            client.xadd(STREAM, {"event": json.dumps(told("joined", f"s{number}", id_=f"s{number}"))})
            if number == 50:
                site.started["loops-1"].kill("SIGKILL")
        _await(site, {f"s{number}" for number in range(100) if number > 50})
    taken = [row.event_id for row in rows(site.runtime.database) if row.door == "stream"]
    assert len(taken) == len(set(taken))


def _queued(site: Installation) -> int:
    with redis.Redis.from_url(site.valkey.url) as client:
        return int(client.llen(f"coachsync:{QUEUE}"))  # type: ignore[arg-type]
