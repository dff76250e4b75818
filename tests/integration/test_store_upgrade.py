"""An upgrade only adds: what is there stays as it is, and a program of before the upgrade goes on working."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import BigInteger, Boolean, DateTime, Float, Integer, MetaData, Table, insert, select
from sqlmodel import SQLModel

from tests.integration.roster_rig import BEGIN
from worker.runtime import out_of_date
from worker.store import schema
from worker.store.engine import Database

VERSIONS = Path(schema.__file__).parent / "migrations" / "versions"
REVISIONS = sorted(path.name.partition("_")[0] for path in VERSIONS.glob("*.py"))
EARLIER = REVISIONS[:-1]

# What a release may take away that an earlier one has stopped to use: revision, operation, and what it is done to.
CONTRACTIONS: set[tuple[str, str]] = set()

_TAKES_AWAY = ("drop_column", "drop_table", "drop_constraint", "rename_table")
_NARROWS = ("create_check_constraint", "create_exclude_constraint", "create_foreign_key", "create_unique_constraint")
_WORDS = ("DROP ", "ALTER ", "DELETE ", "TRUNCATE ", "RENAME ")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def bring_to(database: Database, revision: str) -> None:
    with database.engine.execution_options(coachsync_write=True).begin() as connection:
        command.upgrade(schema._config(connection), revision)


def tables_of(database: Database) -> dict[str, Table]:
    found = MetaData()
    found.reflect(database.engine)
    return {name: table for name, table in found.tables.items() if name not in ("alembic_version", "installation")}


def _row(table: Table, number: int) -> dict[str, Any]:
    """Something in each column of the table as it is known here."""
    return {column.name: _something(column.type, number) for column in table.columns}


def _something(kind: object, number: int) -> Any:
    match kind:
        case Boolean():
            return True
        case Integer() | BigInteger() | Float():
            return number
        case DateTime():
            return BEGIN
        case _:
            return f"words {number}"


def insert_one(database: Database, tables: Iterable[Table], number: int) -> None:
    with database.write() as session:
        for table in tables:
            session.execute(insert(table), _row(table, number))


def rows(database: Database, table: Table) -> list[tuple[Any, ...]]:
    with database.read() as session:
        return [tuple(row) for row in session.execute(select(table))]


@pytest.mark.parametrize("revision", EARLIER)
def test_a_database_of_an_earlier_version_keeps_what_it_has_and_goes_on_taking_what_its_program_writes(
    database: Database, revision: str
) -> None:
    """That program names the columns that it knows, and no others."""
    bring_to(database, revision)
    known = tables_of(database)
    insert_one(database, known.values(), 7)
    held = {name: rows(database, table) for name, table in known.items()}
    told = out_of_date(database)
    assert told
    assert told.startswith(f"the database is at version {revision}, this program needs {REVISIONS[-1]}: run `coachsync")

    assert schema.upgrade(database) == (revision, REVISIONS[-1])

    assert out_of_date(database) is None
    assert {name: rows(database, table) for name, table in known.items()} == held
    insert_one(database, known.values(), 8)
    assert all(len(rows(database, table)) == 2 for table in known.values())
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def what_an_older_program_cannot_live_with(source: str) -> list[str]:
    """Of a migration's way up: what takes away, renames or narrows."""
    steps = [step for step in ast.parse(source).body if getattr(step, "name", "") != "downgrade"]
    made = {name for step in steps for name in _made_here(step)}
    return sorted(word for step in steps for call in _calls(step) for word in _objections(call, made))


def _calls(step: ast.stmt) -> Iterator[ast.Call]:
    return (node for node in ast.walk(step) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))


def _made_here(step: ast.stmt) -> Iterator[str]:
    return (_first(call) for call in _calls(step) if _name(call) == "create_table")


def _objections(call: ast.Call, made: set[str]) -> Iterator[str]:
    name, given = _name(call), {word.arg: ast.unparse(word.value) for word in call.keywords}
    if name in _TAKES_AWAY or name in _NARROWS:
        yield name
    if name == "alter_column" and _narrows(given):
        yield name
    if name == "create_index" and given.get("unique") == "True" and _table_of_index(call) not in made:
        yield "create_index unique"
    if name == "add_column" and (column := _column(call)) and _must_be_given(column):
        yield "add_column not null"
    if name in ("execute", "text") and any(word in _first(call).upper() for word in _WORDS):
        yield name


def _narrows(given: Mapping[str, str]) -> bool:
    """A default may be given, and NULL allowed; nothing else is only more than before."""
    more = given.keys() - {"existing_type", "existing_nullable", "existing_server_default", "server_default"}
    return bool(more) and (more != {"nullable"} or given["nullable"] != "True")


def _must_be_given(column: ast.Call) -> bool:
    given = {word.arg: ast.unparse(word.value) for word in column.keywords}
    return given.get("nullable") != "True" and "server_default" not in given


def _column(call: ast.Call) -> ast.Call | None:
    return next((one for one in call.args if isinstance(one, ast.Call) and _name(one) == "Column"), None)


def _table_of_index(call: ast.Call) -> str:
    return ast.literal_eval(call.args[1]) if len(call.args) > 1 and isinstance(call.args[1], ast.Constant) else ""


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _first(call: ast.Call) -> str:
    return str(call.args[0].value) if call.args and isinstance(call.args[0], ast.Constant) else ""


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("*.py")), ids=lambda path: path.stem)
def test_a_migration_expands_and_takes_nothing_away(path: Path) -> None:
    revision = path.name.partition("_")[0]
    found = {(revision, what) for what in what_an_older_program_cannot_live_with(path.read_text())}
    assert found <= CONTRACTIONS, "expand now, contract in a later release: docs/how-to/upgrade.md"


@pytest.mark.parametrize(
    ("step", "objection"),
    [
        ('op.drop_column("jobs", "wish")', "drop_column"),
        ('op.drop_table("jobs")', "drop_table"),
        ('op.rename_table("jobs", "work")', "rename_table"),
        ('op.alter_column("jobs", "wish", new_column_name="asked")', "alter_column"),
        ('op.alter_column("jobs", "wish", type_=sa.Integer())', "alter_column"),
        ('op.alter_column("jobs", "error", nullable=False)', "alter_column"),
        ('op.add_column("jobs", sa.Column("x", sa.String(), nullable=False))', "add_column not null"),
        ('op.add_column("jobs", sa.Column("x", sa.String(), primary_key=True))', "add_column not null"),
        ('op.create_unique_constraint("u", "jobs", ["wish"])', "create_unique_constraint"),
        ('op.create_index("i", "jobs", ["wish"], unique=True)', "create_index unique"),
        ('op.execute("drop table jobs")', "execute"),
        ('with op.batch_alter_table("jobs") as batch: batch.drop_column("wish")', "drop_column"),
    ],
)
def test_what_breaks_an_older_program_is_found(step: str, objection: str) -> None:
    assert what_an_older_program_cannot_live_with(f"def upgrade():\n    {step}\n") == [objection]
    assert what_an_older_program_cannot_live_with(f"def downgrade():\n    {step}\n") == []


@pytest.mark.parametrize(
    "step",
    [
        'op.create_table("more", sa.Column("id", sa.Integer(), nullable=False))',
        'op.add_column("jobs", sa.Column("x", sa.String(), nullable=True))',
        'op.add_column("jobs", sa.Column("x", sa.Integer(), server_default="0", nullable=False))',
        'op.alter_column("jobs", "wish", nullable=True, existing_type=sa.Text())',
        'op.create_index("i", "jobs", ["wish"])',
    ],
)
def test_what_only_adds_is_let_through(step: str) -> None:
    assert what_an_older_program_cannot_live_with(f"def upgrade():\n    {step}\n") == []
