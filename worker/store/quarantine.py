"""Remotes that are put aside: their jobs stay pending, single probes go out at a decaying cadence."""

from datetime import timedelta

from sqlalchemy import delete, exists, select, update
from sqlmodel import Session, col

from schemas.jobs import JobState
from worker.core.events import of_quarantine, of_recovery
from worker.core.quarantine import probe_pause
from worker.store import outbox
from worker.store.bulk import insert_if_missing
from worker.store.dispatching import unpublish_where
from worker.store.engine import database_now
from worker.store.models import Quarantine
from worker.store.tables import jobs, quarantines

PROBE_LASTS = timedelta(seconds=30)  # a probe that was lost with its worker is sent again after this


def put_aside(session: Session, remote: str, reason: str) -> bool:
    """Quarantine a remote, or note that it still fails; True if it was not in quarantine before.

    Only probes that were sent slow the cadence down: a whole fleet that meets the failure at once is one quarantine.
    """
    now = database_now(session)
    row = {"remote": remote, "reason": reason, "since": now, "probes": 0, "probe_due_at": now + probe_pause(0)}
    if insert_if_missing(session, quarantines, row):
        outbox.tell(session, [of_quarantine(remote, reason, now)])
        return True
    here = quarantines.c.remote == remote
    probes = session.execute(select(quarantines.c.probes).where(here).with_for_update()).scalar_one_or_none() or 0
    session.execute(update(quarantines).where(here).values(reason=reason, probe_due_at=now + probe_pause(probes)))
    return False


def release(session: Session, remote: str) -> bool:
    """End a quarantine; True if there was one. Its jobs may go to the broker at once."""
    since = session.execute(
        delete(quarantines).where(quarantines.c.remote == remote).returning(quarantines.c.since)
    ).scalar_one_or_none()
    unpublish_where(session, jobs.c.remote == remote)
    if since:
        outbox.tell(session, [of_recovery(remote, since, database_now(session))])
    return since is not None


def find(session: Session, remote: str) -> Quarantine | None:
    return session.execute(select(Quarantine).where(col(Quarantine.remote) == remote)).scalar_one_or_none()


def list_all(session: Session) -> list[Quarantine]:
    return list(session.execute(select(Quarantine).order_by(col(Quarantine.remote))).scalars())


def take_probe_turn(session: Session, remote: str) -> bool:
    """Whether it is this caller's turn to probe now: at most one gets it, and nobody while there is nothing to send."""
    now = database_now(session)
    waiting = exists().where(jobs.c.remote == remote, jobs.c.state == JobState.PENDING)
    statement = (
        update(quarantines)
        .where(quarantines.c.remote == remote, quarantines.c.probe_due_at <= now, waiting)
        .values(probe_due_at=now + PROBE_LASTS, probes=quarantines.c.probes + 1)
        .returning(quarantines.c.remote)
    )
    return bool(session.execute(statement).all())
