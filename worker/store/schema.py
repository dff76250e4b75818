"""The schema's version: upgrade the database, and say whether it is current.

NewerSchema   a newer program has upgraded the database: its version is none that this one knows.
"""

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


class NewerSchema(Exception):  # noqa: N818 - the house names what happened
    """Its one line says what to do."""


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the schema to the newest version; returns the version before and after. Raises ``NewerSchema``.

    Running it twice does nothing; of processes that run it at once, one does the work.
    """
    with database.engine.execution_options(coachsync_write=True).begin() as connection:
        if not database.is_sqlite:  # there the transaction itself is the only writer
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADING})
        before = _version(connection)
        refuse_newer(before)
        command.upgrade(_config(connection), "head")
    return before, newest()


def version(database: Database) -> str | None:
    """The schema's version, None for a database without our tables."""
    with database.engine.connect() as connection:
        return _version(connection)


def refuse_newer(version: str | None) -> None:
    """Raise ``NewerSchema`` for a version that no migration of this program makes."""
    if version and version not in {script.revision for script in _scripts().walk_revisions()}:
        raise NewerSchema(
            f"the database is at version {version}, newer than this program: run the coachsync that upgraded it"
        )


def newest() -> str:
    head = _scripts().get_current_head()
    assert head is not None  # noqa: S101 - the package ships its migrations
    return head


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_MIGRATIONS))


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
