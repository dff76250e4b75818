"""A bare loop on SQLite: the same page and durability; nothing is checked and nothing is ordered."""

import sqlite3
from pathlib import Path

from benchmarks.enqueue.door import COLUMNS, DDL, Door, pages
from benchmarks.throughput.place import Place

_INSERT = f"INSERT INTO jobs VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - our own columns


def door() -> Door:
    path = Place.from_environment().database.removeprefix("sqlite:///")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(DDL)

    def take(file: Path) -> None:
        for page in pages(file):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, page)
            connection.execute("COMMIT")

    return Door(take, lambda: int(connection.execute("SELECT count(*) FROM jobs").fetchone()[0]))
