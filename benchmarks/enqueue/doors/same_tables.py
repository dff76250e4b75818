"""A bare loop into the tables that coachsync keeps its rows in, with their indexes; nothing is checked or ordered.

One driver's statement for each table and page: what is left is the cost of the tables themselves.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.enqueue.door import Door, count_rows, update_pages
from benchmarks.throughput.updates import Update
from worker.clock import utc_now
from worker.configuration import settings
from worker.runtime import Runtime
from worker.store import schema

_JOB = ("id", "batch_id", "kind", "remote", "lane", "resource", "wish", "version", "state", "due_at", "created_at")
_RESOURCE = ("name", "version", "newest_job_id")
_BATCH = 1


def door() -> Door:
    runtime = Runtime(settings.from_environment())
    schema.upgrade(runtime.database)
    mark = "?" if runtime.database.is_sqlite else "%s"

    def take(file: Path) -> None:
        first = 1
        for page in update_pages(file):
            with runtime.database.write() as session:
                connection: Any = session.connection().connection.driver_connection
                cursor = connection.cursor()
                cursor.executemany(_insert("resources", _RESOURCE, mark), list(_resources(page, first)))
                cursor.executemany(_insert("jobs", _JOB, mark), list(_jobs(page, first)))
            first += len(page)

    def rows() -> int:
        with runtime.database.read() as session:
            return count_rows(session.connection().connection.driver_connection, "jobs")

    return Door(take, rows)


def _insert(table: str, columns: tuple[str, ...], mark: str) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"  # noqa: S608 - our own names


def _resources(page: list[Update], first: int) -> Iterator[tuple[Any, ...]]:
    return ((update.name, 1, job) for job, update in enumerate(page, first))


def _jobs(page: list[Update], first: int) -> Iterator[tuple[Any, ...]]:
    now = utc_now().isoformat(sep=" ")
    for job, update in enumerate(page, first):
        wish = {
            "name": update.name,
            "scorecardTemplateName": update.scorecard_template_name,
            "usecaseName": update.usecase_name,
            "target": update.target,
            "criterionOrChapterId": update.criterion_or_chapter_id,
            "coachingPlanName": update.coaching_plan_name,
        }
        text = json.dumps(wish, ensure_ascii=False)
        yield (job, _BATCH, "target_update", "default", "bulk", update.name, text, 1, "pending", now, now)
