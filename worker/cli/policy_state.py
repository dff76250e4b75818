"""Whether the policy of the settings is in force, in a sentence."""

from sqlmodel import Session

from schemas.policy import Policy
from worker.core.policy import policy_digest
from worker.store import approvals, policies
from worker.store.engine import database_now
from worker.telling.cells import cell


def state_of(session: Session, policy: Policy) -> str:
    digest = policy_digest(policy)
    force = policies.in_force(session)
    if force and force.digest == digest:
        return f"In force since {cell(force.since)}."
    until_then = f" Until then the one of {cell(force.since)} is in force." if force else ""
    known = policies.find(session, digest)
    asked = approvals.find(session, known.approval_id) if known and known.approval_id else None
    if asked and asked.state == approvals.REJECTED:
        return f"Refused with approval {asked.id} by {asked.decided_by}: {asked.reason}.{until_then}"
    if asked and asked.state == approvals.WAITING and asked.expires_at > database_now(session):
        return f"Held: {asked.reason}. `coachsync approvals approve {asked.id}` lets it in.{until_then}"
    return f"Not in force yet: `coachsync loops` brings it into force.{until_then}"


def is_in_force(session: Session, policy: Policy) -> bool:
    force = policies.in_force(session)
    return force is not None and force.digest == policy_digest(policy)
