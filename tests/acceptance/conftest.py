"""The plugin's fixtures over our processes. ``celery_setup`` stays the plugin's own.

An installation is started once a module, since each of its processes imports for a second; what a test has ended is
started again before the next.
"""

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_celery import CeleryTestBroker, CeleryWorkerCluster
from sqlalchemy import URL, NullPool, create_engine, text

from tests.acceptance.installation import Config, Installation, installed
from tests.acceptance.nodes import Setup, WorkerNode
from tests.services.postgres import PostgresServer
from tests.services.valkey import ValkeyServer

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def own_valkey() -> Iterator[ValkeyServer]:
    with tempfile.TemporaryDirectory(prefix="coachsync-valkey-") as folder:
        server = ValkeyServer(Path(folder))
        yield server
        server.stop()


@pytest.fixture(scope="module")
def own_installation(own_valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """On SQLite, with a rate of 200/second, two workers of two children each, and two loops where one would do."""
    folder = tmp_path_factory.mktemp("installation")
    with installed(Config(f"sqlite:///{folder / 'coachsync.db'}"), folder, own_valkey) as installation:
        installation.start_all(loops=2)
        yield installation


@pytest.fixture
def installation(own_installation: Installation) -> Installation:
    """All of it running, the remote as on its first day."""
    own_installation.revive()
    own_installation.remote.reset()
    return own_installation


@pytest.fixture
def celery_broker(installation: Installation) -> CeleryTestBroker:
    return CeleryTestBroker(installation.broker)


@pytest.fixture
def celery_backend_cluster() -> None:
    """There is no result backend: what became of a job is in its row."""


@pytest.fixture
def celery_worker(installation: Installation) -> WorkerNode:
    return WorkerNode(installation.started["worker-1"], app=None)


@pytest.fixture
def celery_worker_cluster(celery_worker: WorkerNode, installation: Installation) -> CeleryWorkerCluster:
    return CeleryWorkerCluster(celery_worker, WorkerNode(installation.started["worker-2"], app=None))


@pytest.fixture
def celery_setup_cls() -> type[Setup]:
    return Setup


@pytest.fixture(scope="module")
def own_postgres_url(_maintenance_url: URL) -> Iterator[str]:
    with _database_on(_maintenance_url) as url:
        yield url


@pytest.fixture(scope="module")
def own_restartable_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    with _database_on(postgres_server.url) as url:
        yield url


@pytest.fixture
def restartable_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """On the embedded server, whatever server the other tests take."""
    with _database_on(postgres_server.url) as url:
        yield url


@contextmanager
def _database_on(maintenance: URL) -> Iterator[str]:
    """SQLAlchemy's url of a new, empty database."""
    name = f"coachsync_{os.getpid()}_acceptance_{next(_NUMBERS)}"
    server = create_engine(maintenance, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield maintenance.set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
