"""Batches: opened, counted, sealed, completed."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, func, literal, or_, select, update
from sqlmodel import Session, col

from schemas.lanes import Lane
from schemas.webhooks import BatchCompleted
from worker.core.events import Event, of_batch
from worker.store import outbox
from worker.store.engine import clock, database_now
from worker.store.models import Batch
from worker.store.tables import batches

_ENDED = batches.c.succeeded + batches.c.failed + batches.c.superseded + batches.c.cancelled
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
ABANDONED_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class NewBatch:
    """Raises ``ValueError`` for a key that cannot be one."""

    source: str
    lane: Lane
    label: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if self.key is not None and not _KEY.fullmatch(self.key):
            raise ValueError(f"the key {self.key[:40]!r} must be 1 to 255 printable ASCII characters, without spaces")


def find(session: Session, key: str | None) -> Batch | None:
    """The batch that was opened with this key."""
    if not key:
        return None
    return session.execute(select(Batch).where(col(Batch.key) == key)).scalar_one_or_none()


def open_batch(session: Session, new: NewBatch) -> Batch:
    """Raises ``IntegrityError`` where another transaction has just used the same key."""
    now = database_now(session)
    batch = Batch(key=new.key, source=new.source, label=new.label, lane=new.lane, created_at=now, touched_at=now)
    session.add(batch)
    session.flush()
    return batch


def count(session: Session, deltas: Mapping[int, Counter[str]]) -> None:
    """Add to the counters of many batches, always in the order of their ids so that no two transactions deadlock.

    A batch whose last job has ended is completed in the same transaction, once.
    """
    if not deltas:
        return
    changed = {name for delta in deltas.values() for name in delta}
    statement = (
        update(batches)
        .where(batches.c.id == bindparam("batch"))
        .values(touched_at=clock(), **{name: batches.c[name] + bindparam(f"add_{name}") for name in changed})
        .returning((batches.c.accepted - _ENDED).label("still_open"))
    )
    rows = [
        {"batch": batch_id} | {f"add_{name}": deltas[batch_id][name] for name in changed} for batch_id in sorted(deltas)
    ]
    still_open = {row["batch"]: session.execute(statement, row).scalar() for row in rows}
    complete(session, [batch_id for batch_id, number in still_open.items() if not number])


def complete(session: Session, ids: list[int]) -> None:
    """Set ``completed_at`` where a sealed batch has no open job left, and tell of it."""
    if not ids:
        return
    statement = (
        update(batches)
        .where(batches.c.id.in_(ids), batches.c.sealed_at.is_not(None), batches.c.completed_at.is_(None))
        .where(batches.c.accepted == _ENDED)
        .values(completed_at=clock())
        .returning(batches)
    )
    done = session.execute(statement).all()
    if done:
        outbox.tell(session, [_completed(row) for row in sorted(done, key=lambda row: row.id)])


def _completed(row: Any) -> Event:
    told = set(BatchCompleted.model_fields) - {"batch_id"}
    return of_batch(BatchCompleted(batch_id=row.id, **{name: row._mapping[name] for name in told}))  # noqa: SLF001 - SQLAlchemy's documented name


def seal(session: Session, batch_id: int) -> None:
    """No more rows will come, says its producer: from now on the batch can complete."""
    now = database_now(session)
    session.execute(
        update(batches)
        .where(batches.c.id == batch_id, or_(batches.c.sealed_at.is_(None), batches.c.abandoned))
        .values(sealed_at=func.coalesce(batches.c.sealed_at, literal(now, batches.c.sealed_at.type)), abandoned=False)
    )
    complete(session, [batch_id])


def unseal_abandoned(session: Session, batch_id: int) -> bool:
    """Its producer has come back with more rows. False: it was sealed for good, it takes no more."""
    session.execute(
        update(batches)
        .where(batches.c.id == batch_id, batches.c.abandoned)
        .values(sealed_at=None, completed_at=None, abandoned=False)
    )
    return session.execute(select(batches.c.sealed_at).where(batches.c.id == batch_id)).scalar_one() is None


def seal_abandoned(session: Session) -> list[int]:
    """Seal batches whose producer has not been heard of for a while: what was accepted of them counts."""
    now = database_now(session)
    silent = (
        select(batches.c.id)
        .where(batches.c.sealed_at.is_(None), batches.c.touched_at < now - ABANDONED_AFTER)
        .with_for_update(skip_locked=True)
        .cte("silent")
    )
    statement = (
        update(batches)
        .where(batches.c.id.in_(select(silent.c.id)))
        .values(sealed_at=now, abandoned=True)
        .returning(batches.c.id)
    )
    ids = sorted(session.execute(statement).scalars())
    if ids:
        complete(session, ids)
    return ids
