"""The line that a command leaves in the audit trail: in the transaction of what it does, or begun before several."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlmodel import Session

from worker.cli.user import user_name
from worker.store import audit
from worker.store.audit import AuditAction, AuditOutcome, Deed
from worker.store.engine import Database

DOOR = "command"


def leave(session: Session, action: AuditAction, subject: str, result: str, *, by: str | None = None) -> None:
    audit.note(session, Deed(by or user_name(), DOOR, action, subject), AuditOutcome.DONE, result)


@contextmanager
def under_way(
    database: Database, action: AuditAction, subject: str, *, acts: bool = True
) -> Iterator[Callable[[str], None]]:
    """For what takes several transactions; what is yielded is told what came of it. Killed before, it says *begun*.

    ``acts`` False: it is only looked at, and leaves no line.
    """
    told: list[str] = []
    if not acts:
        yield told.append
        return
    with database.write() as session:
        number = audit.note(session, Deed(user_name(), DOOR, action, subject), AuditOutcome.BEGUN, "under way")
    try:
        yield told.append
    except BaseException:
        _settle(database, number, AuditOutcome.FAILED, "it ended early; what was done until then stays done")
        raise
    _settle(database, number, AuditOutcome.DONE, " ".join(told))


def unguarded(database: Database, subject: str, *, acts: bool) -> AbstractContextManager[Callable[[str], None]]:
    """Who says ``--approve`` answers the guard before it has asked: the only trace of it is this line."""
    return under_way(database, AuditAction.APPROVE_BEFOREHAND, subject, acts=acts)


def _settle(database: Database, number: int, outcome: AuditOutcome, result: str) -> None:
    with database.write() as session:
        audit.settle(session, number, outcome, result)
