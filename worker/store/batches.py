"""Batches: opened, counted, sealed, completed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import bindparam, select, update
from sqlmodel import Session, col

from schemas.lanes import Lane
from worker.store.engine import database_now
from worker.store.models import Batch
from worker.store.tables import batches

COUNTERS = ("rows", "accepted", "rejected", "succeeded", "unchanged", "failed", "superseded", "cancelled")
ABANDONED_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class NewBatch:
    source: str
    lane: Lane
    label: str | None = None
    key: str | None = None


def open_batch(session: Session, new: NewBatch) -> Batch:
    """A new batch, or the one that was opened with the same key."""
    found: Batch | None = None
    if new.key:
        found = session.execute(select(Batch).where(col(Batch.key) == new.key)).scalar_one_or_none()
    if found:
        return found
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
    now = database_now(session)
    changed = {name for delta in deltas.values() for name in delta}
    statement = (
        update(batches)
        .where(batches.c.id == bindparam("batch"))
        .values(touched_at=now, **{name: batches.c[name] + bindparam(f"add_{name}") for name in changed})
    )
    rows = [
        {"batch": batch_id} | {f"add_{name}": deltas[batch_id][name] for name in changed} for batch_id in sorted(deltas)
    ]
    for row in rows:
        session.execute(statement, row)
    complete(session, sorted(deltas))


def complete(session: Session, ids: list[int]) -> None:
    """Set ``completed_at`` where a sealed batch has no open job left."""
    ended = batches.c.succeeded + batches.c.failed + batches.c.superseded + batches.c.cancelled
    session.execute(
        update(batches)
        .where(batches.c.id.in_(ids), batches.c.sealed_at.is_not(None), batches.c.completed_at.is_(None))
        .where(batches.c.accepted == ended)
        .values(completed_at=database_now(session))
    )


def seal(session: Session, batch_id: int, *, abandoned: bool = False) -> None:
    """No more rows will come: from now on the batch can complete."""
    session.execute(
        update(batches)
        .where(batches.c.id == batch_id, batches.c.sealed_at.is_(None))
        .values(sealed_at=database_now(session), abandoned=abandoned)
    )
    complete(session, [batch_id])


def unseal_abandoned(session: Session, batch_id: int) -> None:
    """Its producer is back with the same key."""
    session.execute(
        update(batches)
        .where(batches.c.id == batch_id, batches.c.abandoned)
        .values(sealed_at=None, completed_at=None, abandoned=False)
    )


def seal_abandoned(session: Session) -> list[int]:
    """Seal batches whose producer has not been heard of for a while: what was accepted of them counts."""
    silent_since = database_now(session) - ABANDONED_AFTER
    ids = list(
        session.execute(
            select(batches.c.id).where(batches.c.sealed_at.is_(None), batches.c.touched_at < silent_since)
        ).scalars()
    )
    for batch_id in ids:
        seal(session, batch_id, abandoned=True)
    return ids
