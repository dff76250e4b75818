"""Approvals as commands and pages show them."""

from sqlmodel import Session

from worker.intake.deciding import state_of
from worker.store.oversight_models import Approval
from worker.telling.records import Fields


def approval_record(session: Session, approval: Approval) -> Fields:
    return {
        "approval": approval.id,
        "state": state_of(session, approval),
        "door": approval.door,
        "subject": approval.subject,
        "reason": approval.reason,
        "askedAt": approval.asked_at,
        "expiresAt": approval.expires_at,
        "decidedAt": approval.decided_at,
        "decidedBy": approval.decided_by,
    }
