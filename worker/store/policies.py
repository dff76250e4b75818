"""Policies that were in the settings, and the one in force: the last that was adopted."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session, col

from schemas.policy import Policy
from worker.store.engine import database_now
from worker.store.roster_models import PolicyRow
from worker.store.tables import policies
from worker.store.upsert import insert_missing


@dataclass(frozen=True, slots=True)
class InForce:
    """``since``: when it was adopted."""

    id: int
    policy: Policy
    since: datetime


def in_force(session: Session) -> InForce | None:
    query = select(PolicyRow).where(col(PolicyRow.adopted_at).is_not(None)).order_by(col(PolicyRow.adopted_at).desc())
    row = session.execute(query.limit(1)).scalar_one_or_none()
    if row is None or row.adopted_at is None:
        return None
    return InForce(row.id, Policy.model_validate_json(row.policy), row.adopted_at)


def remember(session: Session, digest: str, policy: Policy) -> PolicyRow:
    """The policy as it was first met."""
    found = _find(session, digest)
    if found is None:
        row = {
            "digest": digest,
            "policy": policy.model_dump_json(exclude_defaults=True),
            "seen_at": database_now(session),
        }
        insert_missing(session, policies, [row])
        found = _find(session, digest)
    assert found is not None  # noqa: S101 - it is there now, whoever wrote it
    return found


def adopt(session: Session, policy_id: int) -> None:
    now = database_now(session)
    session.execute(update(policies).where(policies.c.id == policy_id).values(adopted_at=now))


def note_approval(session: Session, policy_id: int, approval_id: int) -> None:
    session.execute(update(policies).where(policies.c.id == policy_id).values(approval_id=approval_id))


def _find(session: Session, digest: str) -> PolicyRow | None:
    return session.execute(select(PolicyRow).where(col(PolicyRow.digest) == digest)).scalar_one_or_none()
