"""INSERT … ON CONFLICT for both databases: the same statement, two constructors."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session


def insert_missing(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows that are not there yet, by primary key."""
    if rows:
        session.execute(_insert(session, table).on_conflict_do_nothing(), rows)


def insert_if_missing(session: Session, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert one row; False where another with its primary key is there, or was about to be."""
    statement = _insert(session, table).on_conflict_do_nothing().returning(*table.primary_key)
    return session.execute(statement, row).first() is not None


def insert_or_replace(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or set all of their columns where the primary key is there."""
    if not rows:
        return
    statement = _insert(session, table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _insert(session: Session, table: Table) -> Any:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
