"""What an update writes and leaves on PostgreSQL: bytes of WAL, of tables and of indexes."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, NullPool, create_engine, text

from benchmarks.figures import OURS, Column, Table, gathered
from benchmarks.remote import Remote, running_remote
from benchmarks.scale import Scale
from benchmarks.site import Site
from benchmarks.throughput.contenders import CONTENDERS
from benchmarks.throughput.contest import under_way

WAL, TABLES, INDEXES, KEPT = "WAL bytes", "table bytes", "index bytes", "bytes once vacuumed"
COLUMNS = (Column(WAL), Column(TABLES), Column(INDEXES), Column(KEPT))
WARM_UP = 400
_WE = next(one for one in CONTENDERS if one.name == OURS)
_SIZES = {
    WAL: "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn",
    TABLES: "SELECT sum(pg_table_size(relid)) FROM pg_stat_user_tables",
    INDEXES: "SELECT sum(pg_indexes_size(relid)) FROM pg_stat_user_tables",
}


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    with running_remote(site.folder) as remote:
        done = [{OURS: _written(site, remote, scale.updates)} for _ in range(scale.rounds)]
    setting = f"of each of {scale.updates:,} updates, acceptance and dispatch included; nothing is pruned"
    yield Table("storage", "What an update writes", setting, COLUMNS, gathered([OURS], done), None)


def _written(site: Site, remote: Remote, updates: int) -> dict[str, float]:
    """On pages that are new: one that is changed first after a checkpoint is written whole, which comes on top."""
    with under_way(_WE, site, remote, "PostgreSQL") as one, _asking(one.database) as connection:
        one.drive(0, WARM_UP)
        before = _sizes(connection)
        one.drive(WARM_UP, updates)
        after = _sizes(connection)
        one.working.close()
        connection.execute(text("VACUUM FULL"))
        vacuumed = _sizes(connection)
    kept = (vacuumed[TABLES] + vacuumed[INDEXES]) / (WARM_UP + updates)
    return {name: (after[name] - before[name]) / updates for name in _SIZES} | {KEPT: kept}


@contextmanager
def _asking(database: str) -> Iterator[Connection]:
    engine = create_engine(database, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def _sizes(connection: Connection) -> dict[str, float]:
    return {name: float(connection.execute(text(query)).scalar_one()) for name, query in _SIZES.items()}
