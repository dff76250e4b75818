"""The composition root: what a process of ours is made of, from its settings.

``Runtime`` is what all processes share; ``WorkerRuntime`` adds what sends: one event loop and an HTTP client a remote
that live as long as the worker process.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from celery import Celery
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from api_adapter.client import CoachingClient
from api_adapter.outcomes import Outcome
from api_adapter.rate_limit.permits import Permit
from api_adapter.rate_limit.policy import History, parse_rate_limit
from api_adapter.transport import Transport
from worker.app import make_app
from worker.clock import uniform, utc_now
from worker.configuration.problems import SettingsError
from worker.configuration.remotes import Remote
from worker.configuration.settings import Settings
from worker.exchanges import NoPermit, Read
from worker.executor import Chunk, Executor, RemoteAccess, Summary
from worker.loops.dispatcher import Dispatcher
from worker.reader import read
from worker.remote_access import open_remote
from worker.store import schema
from worker.store.engine import Database
from worker.store.history import history_of, installation_salt
from worker.store.remote_urls import check, pin
from worker.surveyor import Survey, Surveyor

T = TypeVar("T")

REDIS_TIMEOUT = 5.0
REDIS_CONNECT_TIMEOUT = 2.0


@dataclass(frozen=True)
class Runtime:
    settings: Settings

    @cached_property
    def database(self) -> Database:
        _make_home(self.settings.home)
        return Database(self.settings.database_url.get_secret_value())

    @cached_property
    def app(self) -> Celery:
        return make_app(self.settings.broker_url.get_secret_value())

    @cached_property
    def redis(self) -> Redis:
        return Redis.from_url(
            self.settings.redis_url, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_CONNECT_TIMEOUT
        )

    @cached_property
    def dispatcher(self) -> Dispatcher:
        return Dispatcher(self.database, self.app, self.redis, self.settings.all_remotes)

    def pin_remotes(self) -> None:
        """For whoever is about to use them. Raises ``RemoteMoved``."""
        pin(self.database, self.settings.all_remotes)

    def check_remotes(self) -> None:
        """For whoever only looks. Raises ``RemoteMoved``."""
        with self.database.read() as session:
            check(session, self.settings.all_remotes)

    def close(self) -> None:
        for name in ("redis", "app", "database"):
            if part := self.__dict__.get(name):
                part.close()


def out_of_date(database: Database) -> str | None:
    """Why the program cannot work on this database yet, and the remedy. Raises ``NewerSchema``."""
    if (found := schema.version(database)) == schema.newest():
        return None
    schema.refuse_newer(found)
    state = f"is at version {found}, this program needs {schema.newest()}" if found else "has no tables yet"
    return f"the database {state}: run `coachsync db upgrade` (or `coachsync up`)"


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError((f"COACHSYNC_HOME: {home} cannot be made ({error.strerror}); name another",)) from error


def process_name(pid: int | None = None) -> str:
    """Of a process on this machine; of this one, unless another is named."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


@dataclass
class WorkerRuntime:
    """Lives in one Celery worker process. ``run_chunk`` is called from its main thread, one chunk at a time."""

    runtime: Runtime
    _runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    _remotes: dict[str, RemoteAccess] = field(default_factory=dict)
    _transports: list[Transport] = field(default_factory=list)
    _redis: AsyncRedis | None = None

    @cached_property
    def executor(self) -> Executor:
        with self.runtime.database.read() as session:
            salt = installation_salt(session)
        return Executor(self.runtime.database, salt, process_name(), utc_now, uniform)

    def run_chunk(self, chunk: Chunk) -> Summary:
        """Raises ``KeyError`` for a remote that the settings no longer name: its jobs stay pending."""
        return self._runner.run(self._run(chunk), context=copy_context())  # what is logged names its chunk

    def ask(self, remote: str, call: Callable[[CoachingClient], Awaitable[Outcome[T]]]) -> Outcome[T]:
        """One call outside of any chunk."""

        async def asked() -> Outcome[T]:
            return await call(self._remote(remote).client)

        return self._runner.run(asked())

    def read(self, remote: str, call: Callable[[CoachingClient, Permit], Awaitable[Outcome[T]]]) -> Read[T] | NoPermit:
        """One call outside of any chunk, under the fleet's limit."""

        async def asked() -> Read[T] | NoPermit:
            return await read(self._remote(remote), call, utc_now)

        return self._runner.run(asked())

    def survey(
        self, remote: str, names: Sequence[str], survey: Survey, on_progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Read these targets of a remote, under the fleet's limit. Raises ``SurveyFailed``."""

        async def surveyed() -> None:
            await Surveyor(self._remote(remote), utc_now, uniform, on_progress).survey(names, survey)

        self._runner.run(surveyed())

    def close(self) -> None:
        """Close the HTTP clients and the event loop; the runtime is its owner's to close."""
        self._runner.run(self._close())
        self._runner.close()

    async def _run(self, chunk: Chunk) -> Summary:
        return await self.executor.run_chunk(chunk, self._remote(chunk.remote))

    def _remote(self, name: str) -> RemoteAccess:
        if name not in self._remotes:
            remote = {remote.name: remote for remote in self.runtime.settings.all_remotes}[name]
            access, transport = open_remote(remote, self._async_redis(), partial(self._history, remote))
            self._remotes[name] = access
            self._transports.append(transport)
        return self._remotes[name]

    def _async_redis(self) -> AsyncRedis:
        if self._redis is None:
            self._redis = AsyncRedis.from_url(
                self.runtime.settings.redis_url,
                socket_timeout=REDIS_TIMEOUT,
                socket_connect_timeout=REDIS_CONNECT_TIMEOUT,
                retry=Retry(NoBackoff(), 1),  # a second try meets a connection that the server had closed
            )
        return self._redis

    async def _history(self, remote: Remote) -> History:
        def look() -> History:
            with self.runtime.database.read() as session:
                return history_of(session, remote.name, (limit.window for limit in parse_rate_limit(remote.rate_limit)))

        return await asyncio.to_thread(look)

    async def _close(self) -> None:
        for transport in self._transports:
            await transport.aclose()
        if self._redis:
            await self._redis.aclose()
