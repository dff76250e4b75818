"""A database with our tables, once for each engine we run on, made once a run and emptied for each test."""

import itertools
import os
from collections.abc import Iterator

import pytest
from sqlalchemy import URL, NullPool, create_engine, event, text
from sqlmodel import SQLModel

from worker.store import schema
from worker.store.engine import Database

_NUMBERS = itertools.count(1)
_MARKS = {"sqlite": [], "postgres": [pytest.mark.postgres]}
on_both = pytest.mark.engines("sqlite", "postgres")
on_sqlite = pytest.mark.engines("sqlite")  # most of what a command or a page does is the same on both


def empty(database: Database) -> None:
    """As it was after the upgrade: no rows but the installation's, ids count from 1 again."""
    names = [table.name for table in SQLModel.metadata.sorted_tables if table.name != "installation"]
    with database.write() as session:
        if database.is_sqlite:
            for name in names:
                session.execute(text(f"DELETE FROM {name}"))  # noqa: S608 - our own tables
            session.execute(text("DELETE FROM sqlite_sequence"))
        else:
            session.execute(text("SET LOCAL lock_timeout = '10s'"))  # a test that left a transaction open is told so
            session.execute(text(f"TRUNCATE {', '.join(names)} RESTART IDENTITY"))


@pytest.fixture(scope="session")
def _sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    yield from _upgraded(f"sqlite:///{tmp_path_factory.mktemp('store') / 'coachsync.db'}")


@pytest.fixture(scope="session")
def _postgres_store(_maintenance_url: URL) -> Iterator[Database]:
    name = f"coachsync_{os.getpid()}_store_{next(_NUMBERS)}"
    _run(_maintenance_url, f'CREATE DATABASE "{name}"')
    yield from _upgraded(_maintenance_url.set(database=name).render_as_string(hide_password=False))
    _run(_maintenance_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def _run(url: URL, statement: str) -> None:
    server = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:  # not kept: other tests restart the server
        connection.execute(text(statement))


def _upgraded(url: str) -> Iterator[Database]:
    database = Database(url)
    if database.is_sqlite:  # no test of the store loses power: nothing waits for the disk
        event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    schema.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def sqlite_store(_sqlite_store: Database) -> Database:
    empty(_sqlite_store)
    return _sqlite_store


@pytest.fixture
def postgres_store(_postgres_store: Database) -> Database:
    empty(_postgres_store)
    return _postgres_store


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with a ``store`` runs once on each engine, unless it or its module is marked to be content with one."""
    chosen = metafunc.definition.get_closest_marker("engines") or on_both.mark
    if "store" in metafunc.fixturenames:
        metafunc.parametrize("store", [pytest.param(one, marks=_MARKS[one]) for one in chosen.args], indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Database:
    """An empty store; whoever needs files or servers of its own takes ``database_url``."""
    database: Database = request.getfixturevalue(f"{request.param}_store")
    return database
