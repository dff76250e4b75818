"""One door to two databases: transactions, instants, and which errors pass."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, Event, Thread

import psycopg
import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError, ProgrammingError

from tests.integration.store_rig import all_jobs, change, job, job_of, resting, wish
from worker.core.acceptance import Quiet
from worker.store import schema
from worker.store.engine import Database, database_now, is_passing
from worker.store.tables import jobs


def test_a_write_is_committed_when_its_block_ends_and_undone_when_it_fails(store: Database) -> None:
    one = job_of(store, wish(1))
    with suppress(ZeroDivisionError), store.write() as session:
        session.execute(text("DELETE FROM jobs"))
        _ = 1 / 0
    assert job(store, one).id == one


def test_a_read_never_changes_anything(store: Database) -> None:
    one = job_of(store, wish(1))
    with store.read() as session:
        session.execute(text("DELETE FROM jobs"))
    assert job(store, one).id == one


def test_an_instant_comes_back_as_it_was_in_utc_and_sorts_in_time(store: Database) -> None:
    one, other = job_of(store, wish(1)), job_of(store, wish(2))
    first = datetime(2026, 1, 31, 8, 0, 0, 1, tzinfo=timezone(timedelta(hours=14)))
    second = datetime(2026, 1, 30, 20, 0, 0, tzinfo=UTC)
    change(store, [one], due_at=first)
    change(store, [other], due_at=second)
    assert (job(store, one).due_at, job(store, one).due_at.tzinfo) == (first, UTC)
    with store.read() as session:
        order = session.execute(select(jobs.c.id).where(jobs.c.due_at < second).order_by(jobs.c.due_at)).scalars().all()
    assert order == [one]


def test_the_databases_clock_is_utc_and_goes_on_within_a_transaction(store: Database) -> None:
    with store.write() as session:
        first = database_now(session)
        assert abs(first - datetime.now(UTC)) < timedelta(seconds=5)  # noqa: TID251 - both are on this machine
        while database_now(session) == first:
            pass


def test_a_new_file_that_many_open_at_once_is_opened_by_all(tmp_path: Path) -> None:
    """The first turns it to write-ahead logging, which makes the others wait and not fail."""
    for number in range(20):
        start = Barrier(4)
        url = f"sqlite:///{tmp_path / f'{number}.db'}"

        def open_it(_: int, url: str = url, start: Barrier = start) -> str:
            database = Database(url)
            start.wait(timeout=90)
            with database.write() as session:
                mode = str(session.execute(text("PRAGMA journal_mode")).scalar_one())
            database.close()
            return mode

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(open_it, range(4))) == ["wal"] * 4


def test_a_second_writer_waits_for_the_first(sqlite_store: Database) -> None:
    """A deferred transaction that turns writer would fail at once: each write is one from its beginning."""
    reading, done = Event(), Event()
    one = job_of(sqlite_store, wish(1))

    def first() -> None:
        with sqlite_store.write() as session:
            session.execute(text("UPDATE jobs SET failures = failures + 1"))
            reading.set()
            done.wait(timeout=0.2)

    thread = Thread(target=first)
    thread.start()
    assert reading.wait(timeout=90)
    with sqlite_store.write() as session:
        session.execute(text("UPDATE jobs SET failures = failures + 1"))
    thread.join()
    assert job(sqlite_store, one).failures == 2


def of_sqlite(words: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    return error


class Deadlock(psycopg.OperationalError):
    sqlstate = "40P01"


class Unique(psycopg.IntegrityError):
    sqlstate = "23505"


class Starting(psycopg.OperationalError):
    sqlstate = "57P03"


class Locked(psycopg.OperationalError):
    sqlstate = "55P03"


class NoColumn(psycopg.ProgrammingError):
    sqlstate = "42703"


@pytest.mark.parametrize(
    ("kind", "original", "passes"),
    [
        (OperationalError, Deadlock(), True),
        (OperationalError, Starting(), True),
        (OperationalError, Locked(), True),
        (OperationalError, psycopg.OperationalError("connection refused"), True),
        (InterfaceError, psycopg.InterfaceError("the connection is closed"), True),
        (OperationalError, of_sqlite("database is locked", sqlite3.SQLITE_BUSY_SNAPSHOT), True),
        (OperationalError, of_sqlite("database or disk is full", sqlite3.SQLITE_FULL), True),
        (OperationalError, of_sqlite("disk I/O error", sqlite3.SQLITE_IOERR_WRITE), True),
        (OperationalError, sqlite3.OperationalError("no such table: jobs"), False),
        (DBAPIError, Unique(), False),
        (ProgrammingError, NoColumn(), False),
        (DataError, psycopg.DataError("text fields cannot contain NUL (0x00) bytes"), False),
    ],
)
def test_an_error_passes_where_the_same_transaction_may_succeed_later(
    kind: Callable[..., DBAPIError], original: Exception, *, passes: bool
) -> None:
    assert is_passing(kind("SELECT 1", {}, original)) is passes


def test_a_full_disk_writes_nothing_by_halves_and_passes_once_there_is_room_again(tmp_path: Path) -> None:
    page, at_once = [wish(number) for number in range(500)], Quiet(timedelta(0), timedelta(0))
    database = Database(f"sqlite:///{tmp_path / 'coachsync.db'}")
    event.listen(
        database.engine, "begin", lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={most}")
    )
    most = 1_000_000
    schema.upgrade(database)
    most = 1  # it becomes as many as there are
    with pytest.raises(OperationalError, match="full") as error:
        resting(database, at_once, *page)
    assert is_passing(error.value)
    assert all_jobs(database) == {}
    most = 1_000_000
    assert len(resting(database, at_once, *page)) == len(all_jobs(database)) == 500
    database.close()


def test_a_connection_that_was_lost_passes(tmp_path: Path) -> None:
    gone = Database(f"postgresql+psycopg:///x?host={tmp_path}")
    with pytest.raises(OperationalError) as error, gone.read() as session:
        session.execute(text("SELECT 1"))
    assert is_passing(error.value)
    gone.close()
