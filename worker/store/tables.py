"""The tables as SQLAlchemy Core sees them, for statements that work on many rows at once."""

from typing import cast

from sqlalchemy import Table

from worker.store.models import (
    Attempt,
    Batch,
    Heartbeat,
    Job,
    KnownTarget,
    Pause,
    Quarantine,
    QuotaAnswer,
    Rejection,
    Resource,
)


def _table(model: type) -> Table:
    return cast("Table", model.__table__)  # type: ignore[attr-defined]  # SQLModel adds it at class creation


attempts = _table(Attempt)
batches = _table(Batch)
heartbeats = _table(Heartbeat)
jobs = _table(Job)
targets = _table(KnownTarget)
pauses = _table(Pause)
quarantines = _table(Quarantine)
quota_answers = _table(QuotaAnswer)
rejections = _table(Rejection)
resources = _table(Resource)
