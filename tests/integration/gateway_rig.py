"""The gateway on a test's store, served on loopback by a thread, and a client that holds a token."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from tests.integration.cli_rig import command_on
from tests.services.processes import wait_until
from worker.clock import utc_now
from worker.configuration.settings import load_settings
from worker.core.access import Scope, digest_of, new_token
from worker.gateway.app import create_app
from worker.gateway.bounded_connections import BoundedConnections
from worker.gateway.services import Services
from worker.runtime import Runtime
from worker.store import tokens
from worker.store.engine import Database
from worker.store.kept_answers import HEARD_WITHIN
from worker.store.tables import kept_answers
from worker.store.tokens import NewToken


@dataclass
class Clock:
    """Goes by itself, and further where a test says so."""

    ahead: float = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@dataclass
class Gateway:
    """``clock`` is what tokens are believed by."""

    store: Database
    services: Services
    clock: Clock
    url: str = ""
    stop: Callable[[], None] = lambda: None
    listens: Callable[[], bool] = lambda: True
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, *scopes: Scope, customers: tuple[str, ...] = (), **headers: str) -> httpx.Client:
        """With a token of its own that may do this; without any scope all of it."""
        token = make_token(self.store, *(scopes or Scope), customers=customers)
        return self.without_token(Authorization=f"Bearer {token}", **headers)

    def without_token(self, **headers: str) -> httpx.Client:
        self.clients.append(httpx.Client(base_url=self.url, headers=headers, timeout=30))
        return self.clients[-1]


def make_token(
    store: Database,
    *scopes: Scope,
    customers: tuple[str, ...] = (),
    lasts: timedelta | None = None,
    name: str = "tests",
) -> str:
    token = new_token(os.urandom)
    new = NewToken(f"tok_{os.urandom(8).hex()}", name, digest_of(token), scopes, customers, lasts)
    with store.write() as session:
        tokens.create(session, new)
    return token


def hear_no_more_of_keys(store: Database) -> None:
    """As if whoever was at work on them had died a while ago."""
    with store.write() as session:
        session.execute(kept_answers.update().values(at=utc_now() - 2 * HEARD_WITHIN))


@contextmanager
def gateway_on(
    store: Database,
    folder: Path,
    mounts: Mapping[str, ASGIApp] | None = None,
    variables: Mapping[str, str] | None = None,
    http: type[BoundedConnections] = BoundedConnections,
    **settings: str,
) -> Iterator[Gateway]:
    clock = Clock()
    environ = {name: value for name, value in command_on(store, folder, **settings).environ.items() if value} | dict(
        variables or {}
    )
    runtime = Runtime(load_settings(environ, cwd=folder))
    services = Services(runtime, utc_now, clock.monotonic, os.urandom)
    gateway = Gateway(store, services, clock)
    try:
        with _served(create_app(services, mounts), gateway, http):
            yield gateway
    finally:
        for client in gateway.clients:
            client.close()
        runtime.close()


@contextmanager
def gateways_in(folder: Path) -> Iterator[Callable[[Database], Gateway]]:
    """One for each store, for all tests of a module: they empty the store, and what is left of one harms no other."""
    with ExitStack() as stack:
        made: dict[str, Gateway] = {}

        def on(store: Database) -> Gateway:
            if store.url not in made:
                made[store.url] = stack.enter_context(gateway_on(store, folder))
            made[store.url].clock.ahead = 0.0
            return made[store.url]

        yield on


@contextmanager
def _served(app: Any, gateway: Gateway, http: type[BoundedConnections]) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, http=http, log_config=None, access_log=False, proxy_headers=False, ws="none")
        )
        loops: list[asyncio.AbstractEventLoop] = []

        async def run() -> None:
            loops.append(asyncio.get_running_loop())
            await server.serve(sockets=[listener])

        def stop() -> None:
            server.should_exit = True
            with suppress(RuntimeError):  # it has stopped before
                loops[0].call_soon_threadsafe(gateway.services.stopping.set)

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        gateway.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        gateway.stop, gateway.listens = stop, thread.is_alive
        try:
            wait_until(lambda: server.started or not thread.is_alive(), "the gateway listens")
            yield
        finally:
            stop()
            thread.join()


def problem(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    """What it says, which has to be this problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert (said["status"], said["type"]) == (status, f"urn:coachsync:problem:{name}"), said
    assert said["title"]
    assert said["detail"]
    return said
