"""The audit trail: who has done what, when, on what, and what came of it. Nothing changes a line that is settled."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select, update
from sqlmodel import Session, col

from worker.store.console_models import AuditRow
from worker.store.engine import database_now
from worker.store.tables import audit


class AuditAction(StrEnum):
    """All that leaves a line."""

    SIGN_IN = "sign-in"
    RETRY_JOB = "retry-job"
    CANCEL_JOB = "cancel-job"
    RETRY_BATCH = "retry-batch"
    CANCEL_BATCH = "cancel-batch"
    APPROVE = "approve"
    REJECT = "reject"
    APPROVE_BEFOREHAND = "approve-beforehand"
    PAUSE_REMOTE = "pause-remote"
    RESUME_REMOTE = "resume-remote"
    RELEASE_REMOTE = "release-remote"
    FORGET_REMOTE = "forget-remote"
    CREATE_ENDPOINT = "create-endpoint"
    UPDATE_ENDPOINT = "update-endpoint"
    ROTATE_SECRET = "rotate-secret"  # noqa: S105 - no secret
    PAUSE_ENDPOINT = "pause-endpoint"
    RESUME_ENDPOINT = "resume-endpoint"
    DELETE_ENDPOINT = "delete-endpoint"
    REPLAY_DELIVERY = "replay-delivery"
    RECOVER_ENDPOINT = "recover-endpoint"
    RESEAL_SECRETS = "reseal-secrets"
    CREATE_TOKEN = "create-token"  # noqa: S105 - no secret
    REVOKE_TOKEN = "revoke-token"  # noqa: S105 - no secret
    FORGET_AGENT = "forget-agent"


_ONCE = {
    AuditAction.CREATE_TOKEN: "tokens.create",
    AuditAction.REVOKE_TOKEN: "tokens.revoke",
    AuditAction.FORGET_AGENT: "agents.forget",
}  # as older lines have it


class AuditOutcome(StrEnum):
    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Deed:
    """``door`` is where it was done: *console*, *command*."""

    who: str
    door: str
    action: AuditAction
    subject: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    who: str | None = None
    action: AuditAction | None = None


def note(session: Session, deed: Deed, outcome: AuditOutcome, result: str) -> int:
    """Write a line; returns its number."""
    row = AuditRow(
        at=database_now(session),
        who=deed.who,
        door=deed.door,
        action=deed.action,
        subject=deed.subject,
        outcome=outcome,
        result=result,
    )
    session.add(row)
    session.flush()
    return row.id


def settle(session: Session, number: int, outcome: AuditOutcome, result: str) -> None:
    """How a deed that was begun has ended. Where it dies before, the line says *begun* for good."""
    begun = audit.c.outcome == AuditOutcome.BEGUN
    session.execute(update(audit).where(audit.c.id == number, begun).values(outcome=outcome, result=result))


def find(session: Session, number: int) -> AuditRow | None:
    return session.get(AuditRow, number)


def list_all(session: Session, chosen: AuditFilter, limit: int, before: int | None = None) -> list[AuditRow]:
    """Newest first."""
    query = select(AuditRow).order_by(col(AuditRow.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(AuditRow.id) < before)
    if chosen.who is not None:
        query = query.where(col(AuditRow.who) == chosen.who)
    if chosen.action is not None:
        query = query.where(col(AuditRow.action).in_((chosen.action, _ONCE.get(chosen.action, chosen.action))))
    return list(session.execute(query).scalars())
