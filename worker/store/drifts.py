"""Differences that were found: opened once for each target and field, closed when they are gone."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlmodel import Session, col

from worker.core.drift import Action, Finding
from worker.core.events import of_drift
from worker.store import outbox
from worker.store.engine import database_now
from worker.store.oversight_models import Drift
from worker.store.tables import drifts


def note_drifts(
    session: Session, run_id: int, found: Mapping[str, Sequence[Finding]], job_ids: Mapping[str, int]
) -> int:
    """Open a drift for each new finding, and close those that are none any more. Returns the number of new ones."""
    now = database_now(session)
    standing = _open(session, found.keys())
    gone = [
        drift.id
        for (resource, field), drift in standing.items()
        if field not in {finding.field for finding in found[resource]}
    ]
    if gone:
        session.execute(update(drifts).where(drifts.c.id.in_(gone)).values(closed_at=now))
    new: list[tuple[Finding, dict[str, Any]]] = []
    for resource, findings in sorted(found.items()):
        for finding in findings:
            row = _row(finding, job_ids.get(resource)) | {
                "closed_at": now if finding.action is Action.ADOPTED else None
            }
            if drift := standing.get((resource, finding.field)):
                session.execute(update(drifts).where(drifts.c.id == drift.id).values(row))
            else:
                new.append((finding, row | {"reconciliation_id": run_id, "resource": resource, "found_at": now}))
    _open_new(session, new)
    return len(new)


def list_drifts(session: Session, limit: int, before: int | None = None, *, still_open: bool) -> list[Drift]:
    """Newest first."""
    query = select(Drift).order_by(col(Drift.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(Drift.id) < before)
    return list(session.execute(query.where(col(Drift.closed_at).is_(None)) if still_open else query).scalars())


def count_open(session: Session) -> int:
    query = select(func.count()).select_from(drifts).where(drifts.c.closed_at.is_(None))
    return int(session.execute(query).scalar_one())


def _open_new(session: Session, new: Sequence[tuple[Finding, dict[str, Any]]]) -> None:
    if not new:
        return
    statement = insert(drifts).returning(drifts.c.id, sort_by_parameter_order=True)
    ids = session.execute(statement, [row for _, row in new]).scalars()
    told = [of_drift(one, row["resource"], finding) for one, (finding, row) in zip(ids, new, strict=True)]
    outbox.tell(session, told)


def _open(session: Session, names: Collection[str]) -> dict[tuple[str, str], Drift]:
    query = select(Drift).where(col(Drift.resource).in_(sorted(names)), col(Drift.closed_at).is_(None))
    return {(drift.resource, drift.field): drift for drift in session.execute(query).scalars()}


def _row(finding: Finding, job_id: int | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "field": finding.field,
        "kind": finding.kind,
        "wanted": finding.wanted,
        "found": finding.found,
        "action": finding.action,
    }
    return row | ({"job_id": job_id} if job_id else {})
