"""Policies that were in the settings, and the one in force: the last that was adopted."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import select, update
from sqlmodel import Session, col

from schemas.policy import Policy
from worker.store.bulk import insert_missing
from worker.store.engine import database_now
from worker.store.roster_models import PolicyRow
from worker.store.tables import policies


@dataclass(frozen=True, slots=True)
class InForce:
    """``since``: when it was adopted."""

    id: int
    digest: str
    policy: Policy
    since: datetime


def in_force(session: Session) -> InForce | None:
    newest = (col(PolicyRow.adopted_at).desc(), col(PolicyRow.id).desc())
    query = select(PolicyRow).where(col(PolicyRow.adopted_at).is_not(None)).order_by(*newest)
    row = session.execute(query.limit(1)).scalar_one_or_none()
    if row is None or row.adopted_at is None:
        return None
    return InForce(row.id, row.digest, _read(row.policy), row.adopted_at)


@lru_cache(maxsize=4)  # asked for again and again, and the same for months
def _read(policy: str) -> Policy:
    return Policy.model_validate_json(policy)


def find(session: Session, digest: str) -> PolicyRow | None:
    return session.execute(select(PolicyRow).where(col(PolicyRow.digest) == digest)).scalar_one_or_none()


def remember(session: Session, digest: str, policy: Policy) -> PolicyRow:
    """The policy as it was first met."""
    found = find(session, digest)
    if found is None:
        row = {
            "digest": digest,
            "policy": policy.model_dump_json(exclude_defaults=True),
            "seen_at": database_now(session),
        }
        insert_missing(session, policies, [row])
        found = find(session, digest)
    assert found is not None  # noqa: S101 - it is there now, whoever wrote it
    return found


def adopt(session: Session, policy_id: int) -> None:
    now = database_now(session)
    session.execute(update(policies).where(policies.c.id == policy_id).values(adopted_at=now))


def note_approval(session: Session, policy_id: int, approval_id: int) -> None:
    noted = update(policies).where(policies.c.id == policy_id).values(approval_id=approval_id)
    session.execute(noted)
