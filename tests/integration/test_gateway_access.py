"""Who may come in through the gateway: nothing but its health answers without a token, which ends when it ends."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from tests.integration.gateway_rig import Gateway, gateway_on, make_token, problem
from worker.core.access import Scope
from worker.gateway.bounded_connections import BoundedConnections
from worker.store.engine import Database
from worker.store.tables import api_tokens


@pytest.fixture
def gateway(sqlite_store: Database, tmp_path: Path) -> Iterator[Gateway]:
    with gateway_on(sqlite_store, tmp_path) as one:
        yield one


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
def test_its_health_answers_without_a_token(path: str, gateway: Gateway) -> None:
    assert gateway.without_token().get(path).status_code == 200
    assert gateway.without_token().head(path).status_code == 200


def test_what_is_not_there_answers_as_a_problem(gateway: Gateway) -> None:
    problem(gateway.without_token().get("/v1/nothing"), 404, "not-found")
    problem(gateway.without_token().post("/livez"), 405, "method-not-allowed")


def test_nobody_comes_in_without_a_token(gateway: Gateway) -> None:
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}):
        said = gateway.without_token(**headers).post("/v1/target-updates", json={})
        problem(said, 401, "unauthorized")
        assert said.headers["www-authenticate"].startswith('Bearer realm="coachsync"')
    problem(gateway.without_token().post("/v1/target-updates?lane=lost", json={}), 401, "unauthorized")


def test_nobody_is_led_to_where_the_host_header_says(gateway: Gateway) -> None:
    elsewhere = gateway.client(Host="elsewhere.example")
    problem(elsewhere.post("/v1/target-updates/", json={}), 404, "not-found")
    problem(elsewhere.get("/v1/jobs/"), 404, "not-found")


def test_a_token_without_the_scope_is_told_which_it_is(gateway: Gateway) -> None:
    said = gateway.client(Scope.READ, Scope.QUOTAS_WRITE).post("/v1/target-updates", json={})
    assert problem(said, 403, "insufficient-scope")["scope"] == "targets:write"
    assert 'error="insufficient_scope", scope="targets:write"' in said.headers["www-authenticate"]


def test_a_revoked_token_is_let_in_for_two_seconds_at_most(gateway: Gateway) -> None:
    client = gateway.client(Scope.TARGETS_WRITE)
    assert client.post("/v1/target-updates", json={}).status_code == 422
    with gateway.store.write() as session:
        session.execute(api_tokens.update().values(revoked_at=api_tokens.c.created_at))
    gateway.clock.ahead += 2.1
    problem(client.post("/v1/target-updates", json={}), 401, "unauthorized")


def test_one_that_has_expired_is_not_let_in(gateway: Gateway) -> None:
    token = make_token(gateway.store, Scope.TARGETS_WRITE, lasts=timedelta(microseconds=1))
    problem(gateway.without_token(Authorization=f"Bearer {token}").post("/v1/target-updates"), 401, "unauthorized")


def test_its_use_is_seen(gateway: Gateway) -> None:
    gateway.client(Scope.TARGETS_WRITE).post("/v1/target-updates", json={})
    with gateway.store.read() as session:
        assert session.execute(select(api_tokens.c.last_used_at)).scalar_one()


def test_a_head_without_an_end_is_cut_off(gateway: Gateway) -> None:
    address = urlsplit(gateway.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: gateway\r\nX-Long: ")
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            connection.sendall(b"x" * 65_536_000)


def test_a_long_head_is_taken_and_so_is_what_comes_after_it(gateway: Gateway) -> None:
    client = gateway.without_token()
    for _ in range(2):
        assert client.get("/livez", headers={"X-Long": "x" * 40_000}).status_code == 200
    said = gateway.client().post("/v1/target-updates", content=b" " * 1_000_000, headers={"Content-Type": "text/csv"})
    assert said.status_code == 422


class Impatient(BoundedConnections):
    head_within = silent_for = timedelta(milliseconds=200)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /livez HTTP/1.1\r\nHost: gateway\r\n",
        b"POST /v1/roster-events/hris HTTP/1.1\r\nHost: gateway\r\nContent-Length: 9\r\n\r\n{",
    ],
)
def test_who_begins_a_request_and_does_not_go_on_is_cut_off(begun: bytes, store: Database, tmp_path: Path) -> None:
    with gateway_on(store, tmp_path, http=Impatient) as gateway:
        address = urlsplit(gateway.url)
        with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=30) as connection:
            connection.sendall(begun)
            with suppress(ConnectionResetError):
                while connection.recv(1_000):  # the answer to what was whole
                    pass


WITHOUT_ROOM = """
import asyncio, resource, sys
from starlette.requests import Request
from worker.gateway.bodies import spooled
from worker.gateway.problems import Problem
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
body = b"x" * int(sys.argv[1])

async def receive():
    return {"type": "http.request", "body": body, "more_body": False}

async def main():
    try:
        async with spooled(Request({"type": "http", "headers": []}, receive), 1 << 30) as file:
            print("kept", file.file.read(1))
    except Problem as problem:
        print(int(problem.status), problem.name)

asyncio.run(main())
"""


@pytest.mark.parametrize(("size", "said"), [(2_000, "kept"), (4_000, "507"), (4_000_000, "507")])
def test_a_body_that_finds_no_room_is_told_so(size: int, said: str) -> None:
    command = [sys.executable, "-c", WITHOUT_ROOM, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith(said), done.stderr
