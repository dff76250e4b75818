"""A person's yes or no to what the guard has stopped, with what follows from it at once.

CannotDecide   there is no such approval, or it does not wait any more.
"""

from sqlmodel import Session

from schemas.instants import format_instant
from worker.intake import roster_events
from worker.store import approvals, roster
from worker.store.engine import database_now
from worker.store.oversight_models import Approval


class CannotDecide(Exception):  # noqa: N818 - the house names what happened
    """Its line says why. ``missing``: there is no such approval."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


def decide_approval(session: Session, number: int, *, approved: bool, by: str) -> int:
    """Returns how many held events were let in, or refused. Raises ``CannotDecide``."""
    roster.take_door(session)
    if approvals.decide(session, number, approved=approved, by=by) is None:
        raise _why_not(session, number)
    return (roster_events.release_held if approved else roster_events.reject_held)(session, number)


def state_of(session: Session, approval: Approval) -> str:
    """One that still waits past its end is *expired*."""
    waits = approval.state == approvals.WAITING
    return "expired" if waits and approval.expires_at <= database_now(session) else approval.state


def _why_not(session: Session, number: int) -> CannotDecide:
    approval = approvals.find(session, number)
    if approval is None:
        return CannotDecide(f"there is no approval {number}", missing=True)
    state = state_of(session, approval)
    if state == "expired":
        at = format_instant(approval.expires_at.replace(microsecond=0))
        return CannotDecide(f"approval {number} has expired at {at}: what it was for asks anew")
    at = format_instant(approval.decided_at.replace(microsecond=0)) if approval.decided_at else "?"
    return CannotDecide(f"approval {number} was {state} by {approval.decided_by} at {at}")
