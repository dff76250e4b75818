"""The schema's version: upgrade the database, and say whether it is current."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection

from worker.store.engine import Database

_MIGRATIONS = Path(__file__).parent / "migrations"
_UPGRADING = 0x636F616368  # "coach": the advisory lock of whoever changes the schema


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the schema to the newest version; returns the version before and after.

    Running it twice does nothing; of processes that run it at once, one does the work.
    """
    with database.engine.execution_options(coachsync_write=True).begin() as connection:
        if not database.is_sqlite:  # there the transaction itself is the only writer
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADING})
        before = _version(connection)
        command.upgrade(_config(connection), "head")
    return before, newest()


def version(database: Database) -> str | None:
    """The schema's version, None for a database without our tables."""
    with database.engine.connect() as connection:
        return _version(connection)


def newest() -> str:
    head = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    assert head is not None  # noqa: S101 - the package ships its migrations
    return head


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
