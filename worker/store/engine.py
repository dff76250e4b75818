"""The database: SQLite or PostgreSQL through one door.

``write()`` opens a transaction that commits when its block ends; ``read()`` one that never does. On SQLite a write
begins IMMEDIATE: a deferred transaction that turns writer under WAL fails at once with SQLITE_BUSY, whatever timeout.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Dialect, Engine, Text, create_engine, event, select
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import DateTime, TypeDecorator
from sqlmodel import Session

BUSY_TIMEOUT_MS = 30_000
WAL_TRIES = 20
# Busy, locked; and a disk that is full or a quota that is used up, which SQLite calls an I/O error: there may be room.
_PASSING_OF_SQLITE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_PRIMARY = 0xFF  # of an extended error code of SQLite


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC instant on both databases; SQLite keeps it as fixed-width text, so that order holds."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base class's signature
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


class PlainText(TypeDecorator[str]):
    """Words from outside. PostgreSQL holds no NUL: one in a remote's answer must not cost a whole group its record."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - as below
        return value and value.replace("\0", "\ufffd")


class Database:
    """Transactions on one database. Threads may share it, a forked child must not."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        self._writer = self.engine.execution_options(coachsync_write=True)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Session]:
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        self.engine.dispose()


class clock(FunctionElement[datetime]):  # noqa: N801 - stands where a function of SQL stands
    """The database's clock, so that leases do not depend on how well the workers' clocks agree."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(clock)
def _postgres_clock(_element: clock, _compiler: object, **_: object) -> str:
    return "clock_timestamp()"


@compiles(clock, "sqlite")
def _sqlite_clock(_element: clock, _compiler: object, **_: object) -> str:
    """This machine's, to the millisecond; as wide as the instants that it is compared with."""
    return "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"


_NOW = select(clock())
NOW_ASKED_ONCE = _NOW.scalar_subquery()  # within a statement: an index takes it as it takes a given instant


def database_now(session: Session) -> datetime:
    now: datetime = session.execute(_NOW).scalar_one()
    return now


def is_passing(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed if tried again: lost connection, deadlock, busy, full, starting."""
    if error.connection_invalidated:
        return True
    original = error.orig
    if isinstance(original, sqlite3.OperationalError):
        return getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY in _PASSING_OF_SQLITE
    state = getattr(original, "sqlstate", None)
    if state is None:  # the driver's own word: the server was not reached, or the statement never could be sent
        return isinstance(error, OperationalError | InterfaceError)
    return state[:2] in ("08", "40", "53", "57") or state in ("25P03", "55P03")


# A worker that freezes inside a transaction, or whose host is gone, must not hold its row locks for hours. And a plan
# is made for each run: one that is kept was made for the table as it was then, which may have been empty, and cannot
# know that the state asked for is the one of a partial index.
_POSTGRES = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "options": (
        "-c idle_in_transaction_session_timeout=15000 -c lock_timeout=30000 -c plan_cache_mode=force_custom_plan"
    ),
}


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(
            url, pool_pre_ping=True, pool_size=5, max_overflow=10, pool_recycle=1800, connect_args=_POSTGRES
        )
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we begin ourselves
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _use_wal(connection)


def _use_wal(connection: sqlite3.Connection) -> None:
    """The switch of a new file heeds no busy timeout: who meets another's waits as a writer does, and asks again."""
    for _ in range(WAL_TRIES):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        else:
            return
    connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("coachsync_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
