"""What ``coachsync targets apply`` does: read, validate, order, insert, a thousand rows a transaction."""

import gc
from pathlib import Path

from benchmarks.enqueue.door import Door, count_rows
from schemas.jobs import JobKind
from schemas.lanes import Lane
from worker.configuration import settings
from worker.intake.accept import Offered, accept
from worker.intake.readers import GoodRow, read_wishes
from worker.intake.source import FileSource
from worker.runtime import Runtime
from worker.store import schema
from worker.store.batches import NewBatch


def door() -> Door:
    runtime = Runtime(settings.from_environment())
    schema.upgrade(runtime.database)
    gc.freeze()  # as the command does

    def take(file: Path) -> None:
        rows = read_wishes(FileSource(file, file.name), JobKind.TARGET_UPDATE)
        offers = (Offered(row.row, row.line, row.wish) for row in rows if isinstance(row, GoodRow))
        accept(runtime.database, offers, NewBatch("benchmark", Lane.BULK), runtime.settings.remote_for)

    def rows() -> int:
        with runtime.database.read() as session:
            return count_rows(session.connection().connection.driver_connection, "jobs")

    return Door(take, rows)
