"""The peers' table of outcomes: one row an update, one commit a row, by the driver itself."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

_TABLE = "CREATE TABLE outcomes (name TEXT PRIMARY KEY, target REAL NOT NULL, status INTEGER NOT NULL, ended_at TEXT)"
_INSERT = (
    "INSERT INTO outcomes VALUES ({0}, {0}, {0}, CURRENT_TIMESTAMP)"
    " ON CONFLICT (name) DO UPDATE SET target = excluded.target, status = excluded.status"
)
_SQLITE, _POSTGRES = _INSERT.format("?"), _INSERT.format("%s")


def connect(url: str) -> Any:
    """A connection that commits each statement; SQLite's as durable as PostgreSQL's."""
    if not url.startswith("sqlite:///"):
        return psycopg.connect(url, autocommit=True)
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


class Outcomes:
    """For threads: each has a connection of its own, kept."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._insert = _SQLITE if url.startswith("sqlite:///") else _POSTGRES
        self._own = threading.local()

    def keep(self, name: str, target: float, status: int) -> None:
        if not hasattr(self._own, "connection"):
            self._own.connection = connect(self._url)
        self._own.connection.execute(self._insert, (name, target, status))


class AsyncOutcomes:
    """For coroutines, on PostgreSQL: a pool."""

    def __init__(self, url: str) -> None:
        self._pool = AsyncConnectionPool(url, min_size=4, max_size=10, kwargs={"autocommit": True}, open=False)

    async def open(self) -> None:
        await self._pool.open(wait=True)

    async def keep(self, name: str, target: float, status: int) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_POSTGRES, (name, target, status))

    async def aclose(self) -> None:
        await self._pool.close()


@contextmanager
def prepared(url: str) -> Iterator[Any]:
    """A connection to look with, once the table is there."""
    connection = connect(url)
    connection.execute(_TABLE)
    try:
        yield connection
    finally:
        connection.close()
