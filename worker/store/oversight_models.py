"""The tables of oversight: what waits for approval, what was compared with the remote, what is looked at when."""

from datetime import datetime

from sqlalchemy import Float, Index
from sqlmodel import Field, SQLModel

from worker.store.columns import big, index_where, instant, serial, words
from worker.store.engine import PlainText


class Approval(SQLModel, table=True):
    """What the guard has stopped, and what a person has said of it. ``digest`` names the content.

    ``state``: waiting, approved, rejected; past ``expires_at`` it counts as neither.
    """

    __tablename__ = "approvals"
    __table_args__ = (Index("approvals_digest", "digest"),)

    id: int = serial()
    door: str
    digest: str
    subject: str = words()
    reason: str = words()
    state: str
    asked_at: datetime = instant(nullable=False)
    expires_at: datetime = instant(nullable=False)
    decided_at: datetime | None = instant()
    decided_by: str | None = None


class Reconciliation(SQLModel, table=True):
    """One pass over a profile's targets at the remote, page by page. ``page_token`` is where it goes on.

    ``reads``: *list* while the remote lists its targets, *get* where it does not: then known ones are read one by one,
    and ``page_token`` is the last name.
    """

    __tablename__ = "reconciliations"
    __table_args__ = (Index("reconciliations_profile", "profile", "id"),)

    id: int = serial()
    remote: str
    profile: str
    reads: str
    page_token: str = Field(default="", sa_type=PlainText)
    started_at: datetime = instant(nullable=False)
    finished_at: datetime | None = instant()
    requests: int = 0
    compared: int = 0
    found: int = 0
    resent: int = 0
    adopted: int = 0
    error: str | None = words(nullable=True)


class Drift(SQLModel, table=True):
    """A difference between what we want and what the remote has; at most one open for each target and field.

    ``kind``: lost, changed, missing, identity. ``action``: what was done: resent, observed, adopted.
    """

    __tablename__ = "drifts"
    __table_args__ = (
        index_where("drifts_open", "resource", "field", where="closed_at IS NULL", unique=True),
        Index("drifts_run", "reconciliation_id"),
    )

    id: int = serial()
    reconciliation_id: int = big()
    resource: str
    field: str
    kind: str
    wanted: str = words()
    found: str = words()
    action: str
    job_id: int | None = big(nullable=True)
    found_at: datetime = instant(nullable=False)
    closed_at: datetime | None = instant()


class Cadence(SQLModel, table=True):
    """When something is looked at again: ``pause`` seconds after the last time, longer while nothing changes."""

    __tablename__ = "cadences"

    name: str = Field(primary_key=True)
    due_at: datetime = instant(nullable=False)
    pause: float = Field(sa_type=Float)
