"""The services that a benchmark runs on: a broker and a database server of its own, which end with it."""

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from sqlalchemy import NullPool, create_engine, text

from tests.services.postgres import PostgresServer
from tests.services.valkey import ValkeyServer

ENGINES = ("PostgreSQL", "SQLite")
DURABLE: dict[str, str] = {"max_connections": "200"}  # a commit that is told has reached the disk, as on SQLite
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Site:
    """``folder`` is where logs and SQLite files go."""

    folder: Path
    broker: ValkeyServer
    postgres: PostgresServer

    @contextmanager
    def database(self, engine: str) -> Iterator[str]:
        """SQLAlchemy's url of a new, empty database."""
        name = f"bench_{next(_NUMBERS)}"
        if engine == "SQLite":
            yield f"sqlite:///{self.folder / name}.db"
            return
        self._ask(f"CREATE DATABASE {name}")
        yield self.postgres.url.set(database=name).render_as_string(hide_password=False)
        self._ask(f"DROP DATABASE {name} WITH (FORCE)")

    def commits(self, database: str) -> int:
        """Transactions that this PostgreSQL database has ended, once the sessions in it have reported them."""
        name = database.partition("?")[0].rpartition("/")[2]
        return self._ask(f"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{name}'")  # noqa: S608 - our own name

    def broker_reads(self) -> int:
        """How often the broker has read from a client: round trips, a pipeline counts once."""
        with redis.Redis.from_url(self.broker.url) as client:
            return int(client.info("stats")["total_reads_processed"])

    def _ask(self, statement: str) -> int:
        server = create_engine(self.postgres.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with server.connect() as connection:
            result = connection.execute(text(statement))
            return int(result.scalar_one()) if result.returns_rows else 0


@contextmanager
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="coachsync-bench-") as name:
        folder = Path(name)
        servers = folder / "postgres"
        servers.mkdir()
        folder.chmod(0o755)  # as root PostgreSQL runs as a user of its own
        broker, postgres = ValkeyServer(folder), PostgresServer(servers, DURABLE)
        try:
            yield Site(folder, broker, postgres)
        finally:
            broker.stop()
            postgres.stop()


def plain_url(database: str) -> str:
    """The same database without SQLAlchemy's word for the driver."""
    return database.replace("postgresql+psycopg://", "postgresql://")


def environment() -> dict[str, str]:
    """What our children need of ours."""
    names = ("PATH", "HOME", "LANG")
    return {name: os.environ[name] for name in names if name in os.environ}  # noqa: TID251 - for children, not for the code
