"""Many rows in one statement: INSERT, INSERT … ON CONFLICT and UPDATE, the same for both databases.

PostgreSQL takes the rows as one JSON document, which costs it and us a third of what a statement a row does. SQLite is
no server: there a statement a row is the fastest, run by its driver. SQLAlchemy would look at each parameter of each
row again, which costs three times what the rows do.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    ColumnClause,
    FromClause,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    make_url,
    select,
    update,
)
from sqlalchemy import table as table_of
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from worker.store.engine import UtcDateTime

Rows = Sequence[Mapping[str, Any]]  # each names the same columns
_DIALECTS = {
    postgresql: make_url("postgresql+psycopg://").get_dialect()(),
    sqlite: make_url("sqlite://").get_dialect()(),
}
_DOCUMENT = "document"
_PREFIX = "given_"  # a parameter may not be called as a column is


def insert_rows(session: Session, table: Table, rows: Rows) -> None:
    _run(session, table, rows, _inserting)


def insert_missing(session: Session, table: Table, rows: Rows) -> None:
    """Insert the rows that are not there yet, by primary key."""
    _run(session, table, rows, _inserting_missing)


def insert_if_missing(session: Session, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert one row; False where another with its primary key is there, or was about to be."""
    statement = _dialect(session).insert(table).on_conflict_do_nothing().returning(*table.primary_key)
    return session.execute(statement, row).first() is not None


def insert_or_replace(session: Session, table: Table, rows: Rows) -> None:
    """Insert rows, or set all of their columns where the primary key is there; of two with one key the later counts."""
    keys = table.primary_key.columns.keys()
    newest = {tuple(row[key] for key in keys): row for row in rows}
    _run(session, table, list(newest.values()), _inserting_or_replacing)


def update_rows(session: Session, table: Table, rows: Rows) -> None:
    """Set the columns that the rows name beside the primary key, by which each is found."""
    _run(session, table, rows, _updating)


_Statement = Callable[[Table, tuple[str, ...], Any], Any]


def _run(session: Session, table: Table, rows: Rows, statement: _Statement) -> None:
    if not rows:
        return
    names, dialect = tuple(rows[0]), _dialect(session)
    if any(row.keys() != rows[0].keys() for row in rows):  # PostgreSQL would take NULL for what one does not say
        raise ValueError(f"rows of {table.name} must all name the same columns")
    if dialect is postgresql:
        session.connection().execute(statement(table, names, dialect), _document(table, rows))
    else:
        text, order = _positional(statement, table, names)
        session.connection().exec_driver_sql(text, _parameters(table, order, rows))


@cache
def _inserting(table: Table, names: tuple[str, ...], dialect: Any) -> Any:
    statement = dialect.insert(_named(table))
    if dialect is not postgresql:
        return statement.values({name: bindparam(_PREFIX + name) for name in names})
    rows = _rows_of(table)
    return statement.from_select(names, select(*(rows.c[name] for name in names)))


@cache
def _inserting_missing(table: Table, names: tuple[str, ...], dialect: Any) -> Any:
    return _inserting(table, names, dialect).on_conflict_do_nothing()


@cache
def _inserting_or_replacing(table: Table, names: tuple[str, ...], dialect: Any) -> Any:
    statement, keys = _inserting(table, names, dialect), table.primary_key.columns.keys()
    changed = {name: statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


@cache
def _updating(table: Table, names: tuple[str, ...], dialect: Any) -> Any:
    keys = table.primary_key.columns.keys()
    changed = [name for name in names if name not in keys]
    if dialect is not postgresql:
        found = (table.c[key] == bindparam(_PREFIX + key) for key in keys)
        return update(table).where(*found).values({name: bindparam(_PREFIX + name) for name in changed})
    rows = _rows_of(table)
    found = (table.c[key] == rows.c[key] for key in keys)
    return update(table).where(*found).values({name: rows.c[name] for name in changed})


def _named(table: Table) -> FromClause:
    """The table without defaults: what a row does not name is the database's own to fill."""
    return table_of(table.name, *_columns(table))


def _rows_of(table: Table) -> FromClause:
    """The document as rows of the table's own type."""
    row: ColumnClause[Any] = literal_column(f"NULL::{table.name}")
    document = cast(bindparam(_DOCUMENT, type_=Text), postgresql.JSON)
    return func.json_populate_recordset(row, document).table_valued(*_columns(table), name="given")


def _columns(table: Table) -> list[ColumnClause[Any]]:
    return [column(one.name, one.type) for one in table.columns]


@cache
def _positional(statement: _Statement, table: Table, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """SQLite's text of the statement, and the columns in the order of its question marks."""
    compiled = statement(table, names, sqlite).compile(dialect=_DIALECTS[sqlite])
    return str(compiled), tuple(name.removeprefix(_PREFIX) for name in compiled.positiontup)


def _parameters(table: Table, order: tuple[str, ...], rows: Rows) -> list[tuple[Any, ...]]:
    bind = [(name, _binding(table, name, sqlite)) for name in order]
    return [tuple([to(row[name]) for name, to in bind]) for row in rows]


def _document(table: Table, rows: Rows) -> dict[str, str]:
    bind = {name: _binding(table, name, postgresql) for name in rows[0]}
    values = [{name: bind[name](value) for name, value in row.items()} for row in rows]
    return {_DOCUMENT: json.dumps(values, ensure_ascii=False, allow_nan=False, default=datetime.isoformat)}


@cache
def _binding(table: Table, name: str, dialect: Any) -> Callable[[Any], Any]:
    kind = table.c[name].type
    bind = kind.bind_processor(_DIALECTS[dialect])
    if isinstance(kind, UtcDateTime) and bind:  # the rows of a page have few instants, and each is long to write
        return lru_cache(maxsize=16)(bind)
    return bind or _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _dialect(session: Session) -> Any:
    return postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
