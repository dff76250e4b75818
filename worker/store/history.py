"""What has been sent lately, for a limiter whose own memory is gone; and who this installation is."""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from api_adapter.rate_limit.policy import History
from schemas.jobs import JobState
from worker.store.engine import database_now
from worker.store.models import Installation
from worker.store.pauses import cooldown
from worker.store.tables import attempts, jobs

REQUESTS_PER_JOB = 2  # a job that is running may have read and written without a record of it yet


def history_of(session: Session, remote: str, windows: Iterable[timedelta]) -> History:
    return History({window: most_sent_since(session, remote, window) for window in windows}, cooldown(session, remote))


def most_sent_since(session: Session, remote: str, window: timedelta) -> int:
    """An upper bound of the requests sent to a remote within the last ``window``."""
    since = database_now(session) - window
    recorded = (
        select(func.count()).select_from(attempts).where(attempts.c.remote == remote, attempts.c.started_at >= since)
    )
    running = select(func.count()).select_from(jobs).where(jobs.c.remote == remote, jobs.c.state == JobState.RUNNING)
    sent: int = session.execute(recorded).scalar_one() + REQUESTS_PER_JOB * session.execute(running).scalar_one()
    return sent


def installation_salt(session: Session) -> str:
    salt: str = session.execute(select(col(Installation.salt))).scalar_one()
    return salt
