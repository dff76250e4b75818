"""Serves the gateway: until it is asked to stop, and then until the requests in flight are answered.

CannotListen   the address is taken, or is none of this machine's. Its one line says what to do.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import uvicorn
from starlette.types import ASGIApp

from worker.configuration.listening import Listen
from worker.gateway.bounded_connections import BoundedConnections

GRACE = timedelta(seconds=20)  # for the requests in flight
_WAITING = 2048  # connections that the system holds for us


class CannotListen(Exception):  # noqa: N818 - the house names what happened
    """Nothing was started."""


def serve(app: ASGIApp, listen: Listen, stopping: asyncio.Event, on_listening: Callable[[str], None]) -> None:
    """``on_listening`` gets the URL, once requests are taken. SIGTERM or SIGINT ends it; ``stopping`` is set first."""
    with _bound(listen) as listener:
        config = uvicorn.Config(
            app,
            http=BoundedConnections,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=int(GRACE.total_seconds()),
        )
        url = Listen(listen.host, listener.getsockname()[1]).url
        _Server(config, stopping, lambda: on_listening(url)).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Uvicorn's, with signals as the house has them: one asks, a second hurries, and the exit code is 0."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._asked_to_stop)
        yield

    def _asked_to_stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self._stopping.set()


@contextmanager
def _bound(listen: Listen) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_WAITING)
            yield listener
    except OSError as error:
        why = error.strerror or str(error)
        raise CannotListen(f"{listen}: {why}; name another by COACHSYNC_GATEWAY_LISTEN=HOST:PORT") from error
