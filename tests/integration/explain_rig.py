"""How a database goes about the statements of a step, and which of them read a table from end to end."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlmodel import Session

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
