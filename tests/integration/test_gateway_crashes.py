"""A gateway that dies loses and doubles nothing; one that is stopped ends what it has begun."""

import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from schemas.jobs import JobState
from tests.integration.cli_rig import command_on
from tests.integration.gateway_rig import hear_no_more_of_keys, make_token
from tests.integration.store_rig import TEMPLATE, USECASE, assert_adds_up, name_of, offer, wish
from tests.services import processes
from tests.services.processes import wait_until
from tests.services.stores import on_both, on_sqlite
from worker.core.access import Scope
from worker.store.engine import Database
from worker.store.tables import batches, jobs

pytestmark = on_sqlite

TARGETS = "/v1/target-updates"
ROWS = 4_000
CSV = "\n".join(
    [
        "name,scorecardTemplateName,usecaseName,target",
        *(f"{name_of(number)},{TEMPLATE},{USECASE},50" for number in range(ROWS)),
        "",
    ]
).encode()


@dataclass
class Process:
    pid: int
    client: httpx.Client
    address: tuple[str, int]
    token: str


@pytest.fixture
def start(store: Database, tmp_path: Path) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []
    token = make_token(store, *Scope)
    environ = {name: value for name, value in command_on(store, tmp_path).environ.items() if value}

    def begin() -> Process:
        log = tmp_path / f"gateway-{len(started)}.log"
        env = {"PATH": os.environ["PATH"], **environ}  # noqa: TID251 - what a child needs of our environment
        pid = processes.spawn([sys.executable, "-m", "worker.cli", "gateway", "--port", "0"], log, env=env)

        def listens() -> re.Match[str] | None:
            assert processes.alive(pid), log.read_text()
            return re.search(r"listens at http://([\d.]+):(\d+)", log.read_text())

        wait_until(lambda: listens() is not None, "the gateway listens", seconds=90)
        found = listens()
        assert found
        headers = {"Authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=f"http://{found[1]}:{found[2]}", headers=headers, timeout=60)
        started.append(Process(pid, client, (found[1], int(found[2])), token))
        return started[-1]

    yield begin
    for one in started:
        one.client.close()
        with suppress(KeyError):
            processes.end(one.pid)


def counted(store: Database) -> tuple[int, int]:
    """Batches, and jobs that are still to be done."""
    with store.read() as session:
        found = [
            session.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
            for table, condition in ((batches, batches.c.id > 0), (jobs, jobs.c.state == JobState.PENDING))
        ]
    return found[0], found[1]


def row(number: int) -> dict[str, object]:
    return {"name": name_of(number), "scorecardTemplateName": TEMPLATE, "usecaseName": USECASE, "target": 50}


@on_both
def test_killed_in_the_middle_of_a_file_it_goes_on_with_the_same_key(
    store: Database, start: Callable[[], Process]
) -> None:
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "nightly"}
    first = start()
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(first.client.post, TARGETS, content=CSV, headers=headers)
        wait_until(lambda: counted(store)[1] > 0, "a page is committed", seconds=90)
        processes.end(first.pid, signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            asked.result()
    assert 0 < counted(store)[1] < ROWS
    hear_no_more_of_keys(store)
    again = start().client.post(TARGETS, content=CSV, headers=headers)
    assert (again.status_code, again.json()["accepted"]) == (202, ROWS), again.text
    assert counted(store) == (1, ROWS)
    assert_adds_up(store)


def test_killed_after_the_commit_and_before_the_answer_was_read_it_doubles_nothing(
    store: Database, start: Callable[[], Process]
) -> None:
    first = start()
    body = httpx.Request("POST", "http://gateway", json=row(1)).content
    head = (
        f"POST {TARGETS} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {first.token}\r\nIdempotency-Key: k\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(first.address) as connection:
        connection.sendall(head.encode() + body)
        wait_until(lambda: counted(store)[1] == 1, "it is committed", seconds=90)
        processes.end(first.pid, signal.SIGKILL)
    again = start().client.post(
        TARGETS, content=body, headers={"Content-Type": "application/json", "Idempotency-Key": "k"}
    )
    assert (again.status_code, again.json()["job"]) == (202, "1-1")
    assert again.headers["idempotency-replayed"] == "true"
    assert counted(store) == (1, 1)


def test_asked_to_stop_it_answers_what_it_has_begun_and_ends_what_would_not_end(
    store: Database, start: Callable[[], Process]
) -> None:
    one = start()
    offer(store, wish("watched"))
    with ThreadPoolExecutor(1) as thread, one.client.stream("GET", "/v1/batches/1/events") as events:
        lines = events.iter_lines()
        assert next(lines)
        asked = thread.submit(one.client.post, TARGETS, content=CSV, headers={"Content-Type": "text/csv"})
        wait_until(lambda: counted(store)[1] > 1, "a page is committed", seconds=90)
        os.kill(one.pid, signal.SIGTERM)
        assert (asked.result().status_code, asked.result().json()["accepted"]) == (202, ROWS)
        list(lines)
    assert processes.end(one.pid, patience=20) == 0
    assert counted(store) == (2, ROWS + 1)
