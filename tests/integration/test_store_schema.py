"""The schema in the migrations is the schema in the models, however many processes bring a database to it at once."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlmodel import SQLModel

from worker.store import schema
from worker.store.engine import Database

AT_ONCE = """
import sys
from worker.store import schema
from worker.store.engine import Database
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(schema.upgrade(database))
"""


def test_the_migrations_make_the_tables_of_the_models(store: Database) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_an_upgraded_database_is_at_the_newest_version_and_a_second_upgrade_does_nothing(store: Database) -> None:
    assert schema.version(store) == schema.newest()
    assert schema.upgrade(store) == (schema.newest(), schema.newest())


def test_a_database_without_our_tables_has_no_version(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    assert schema.version(database) is None
    database.close()


def test_processes_that_upgrade_at_once_all_succeed_and_one_does_the_work(database_url: str) -> None:
    command = [sys.executable, "-c", AT_ONCE, database_url]
    starters = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for starter in starters:
        assert starter.stdout
        assert starter.stdout.readline() == "ready\n"
    for starter in starters:
        assert starter.stdin
        starter.stdin.write("go\n")
        starter.stdin.flush()
    told = sorted(starter.communicate(timeout=90)[0].strip() for starter in starters)
    assert [starter.returncode for starter in starters] == [0, 0]
    newest = schema.newest()
    assert told == sorted([str((None, newest)), str((newest, newest))])


def test_each_installation_has_a_salt_of_its_own(store: Database, tmp_path: Path) -> None:
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    schema.upgrade(other)
    salts = []
    for database in (store, other):
        with database.read() as session:
            salts.append(session.execute(text("SELECT salt FROM installation")).scalar_one())
    other.close()
    assert len(set(salts)) == len(salts)


@pytest.mark.postgres
def test_resource_names_sort_on_postgresql_as_they_do_in_python(postgres_store: Database) -> None:
    """They are locked in that order, in slices that Python makes; a language's order would differ, and deadlock."""
    told = (
        "SELECT collation_name FROM information_schema.columns WHERE table_name = 'resources' AND column_name = 'name'"
    )
    with postgres_store.read() as session:
        assert session.execute(text(told)).scalar_one() == "C"
