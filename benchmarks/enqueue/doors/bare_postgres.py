"""A bare loop on PostgreSQL: the same page and durability; nothing is checked and nothing is ordered."""

from pathlib import Path

import psycopg

from benchmarks.enqueue.door import COLUMNS, DDL, Door, count_rows, pages
from benchmarks.throughput.place import Place

_INSERT = f"INSERT INTO jobs VALUES ({', '.join(['%s'] * len(COLUMNS))})".encode()  # noqa: S608 - our own columns


def door() -> Door:
    connection = psycopg.connect(Place.from_environment().database)
    connection.execute(DDL.encode())
    connection.commit()

    def take(file: Path) -> None:
        for page in pages(file):
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(_INSERT, page)

    return Door(take, lambda: count_rows(connection, "jobs"))
