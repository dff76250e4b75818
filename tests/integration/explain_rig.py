"""How a database goes about the statements of a step, and which of them read a table from end to end."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlmodel import Session

from tests.services.stores import empty
from worker.store.engine import Database


@contextmanager
def statements(session: Session) -> Iterator[list[tuple[str, Any]]]:
    """Each statement that the block runs, with its parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: object) -> None:
        seen.append((statement, parameters))

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    yield seen
    event.remove(connection, "before_cursor_execute", note)


@contextmanager
def filled_once(
    request: pytest.FixtureRequest, fill: Callable[[Database], None]
) -> Iterator[Callable[[str], Database]]:
    """A filled store by the database's kind, the same for each test of a module; empty again at the end."""
    filled: dict[str, Database] = {}

    def of_kind(kind: str) -> Database:
        if kind not in filled:
            store: Database = request.getfixturevalue(f"_{kind}_store")
            empty(store)
            fill(store)
            filled[kind] = store
        return filled[kind]

    yield of_kind
    for store in filled.values():
        empty(store)


def analyze(store: Database) -> None:
    """So that the planner knows what it has before it."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def plans(store: Database, step: Callable[[Session], object], tables: Collection[str]) -> list[str]:
    """How the database goes about each of the step's statements on these tables; the step itself is undone."""
    with store.read() as session, statements(session) as seen:
        step(session)
    explain = "EXPLAIN QUERY PLAN " if store.is_sqlite else "EXPLAIN "
    told = []
    with store.read() as session:
        for statement, parameters in seen:
            if any(f" {table}" in statement for table in tables):
                first = parameters[0] if isinstance(parameters, list) else parameters
                rows = session.connection().exec_driver_sql(explain + statement, first)
                told.append(f"{statement}\n" + "\n".join(str(one[-1]) for one in rows))
    return told


def scans(plan: str, tables: Collection[str]) -> list[str]:
    """The lines of a plan that read one of these tables from end to end."""
    lines = plan.partition("\n")[2].splitlines()
    return [
        line
        for line in lines
        for table in tables
        if f"Seq Scan on {table}" in line or (line.startswith(f"SCAN {table}") and "USING" not in line)
    ]
