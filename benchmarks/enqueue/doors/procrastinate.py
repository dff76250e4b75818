"""procrastinate: a job a row in PostgreSQL, a thousand an insert."""

from pathlib import Path

import psycopg

from benchmarks.enqueue.door import Door, count_rows, update_pages
from benchmarks.throughput.place import Place
from benchmarks.throughput.tasks import procrastinate_tasks


def door() -> Door:
    procrastinate_tasks.prepare()
    connection = psycopg.connect(Place.from_environment().database)

    def take(file: Path) -> None:
        for page in update_pages(file):
            procrastinate_tasks.hand_in(page)

    return Door(
        take,
        lambda: count_rows(connection, "procrastinate_jobs"),
    )
