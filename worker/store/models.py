"""The tables. What a row means is said here once; the statements live in the modules beside this one."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, false, text
from sqlmodel import Field, SQLModel

from schemas.jobs import JobKind, JobState
from schemas.lanes import Lane
from worker.store.engine import PlainText, UtcDateTime

_ORDERED = String().with_variant(String(collation="C"), "postgresql")  # as Python sorts: names are locked in order
_ROWID = BigInteger().with_variant(Integer, "sqlite")  # SQLite keeps a row under its INTEGER key, and counts that up


def _instant(*, nullable: bool = True) -> Any:
    return Field(sa_column=Column(UtcDateTime, nullable=nullable), default=None)


def _big(*, primary_key: bool = False, nullable: bool = False) -> Any:
    kind = _ROWID if primary_key else BigInteger
    column: Column[int] = Column(kind, primary_key=primary_key, nullable=nullable, autoincrement=False)
    return Field(sa_column=column, default=None)


def _serial() -> Any:
    return Field(sa_column=Column(_ROWID, primary_key=True), default=None)


def _words(*, nullable: bool = False) -> Any:
    return Field(sa_column=Column(PlainText, nullable=nullable), default=None)


def _index_where(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


class Batch(SQLModel, table=True):
    """Jobs accepted together. Counters move in the transaction that moves the jobs.

    ``rows = accepted + rejected``, and once ``completed_at`` is set
    ``accepted = succeeded + failed + superseded + cancelled``; ``unchanged`` is a part of ``succeeded``.
    """

    __tablename__ = "batches"
    __table_args__ = {"sqlite_autoincrement": True}

    id: int = _serial()
    key: str | None = Field(default=None, unique=True)
    source: str
    label: str | None = None
    lane: Lane = Field(sa_type=String)
    created_at: datetime = _instant(nullable=False)
    touched_at: datetime = _instant(nullable=False)
    sealed_at: datetime | None = _instant()
    abandoned: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    completed_at: datetime | None = _instant()
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    succeeded: int = 0
    unchanged: int = 0
    failed: int = 0
    superseded: int = 0
    cancelled: int = 0


class Rejection(SQLModel, table=True):
    """A row that was refused at the door, with the field and the reason."""

    __tablename__ = "rejections"

    job_id: int = _big(primary_key=True)
    batch_id: int = Field(sa_column=Column(BigInteger, nullable=False, index=True), default=None)
    line: int
    field: str
    reason: str = _words()
    value: str = _words()


class Resource(SQLModel, table=True):
    """The order of wishes for one resource: its row is the lock under which they are accepted and given back."""

    __tablename__ = "resources"

    name: str = Field(sa_column=Column(_ORDERED, primary_key=True), default=None)
    version: int = _big()
    newest_job_id: int = _big()


class Job(SQLModel, table=True):
    """One wish and what became of it. ``wish`` is the producer's, as it was given (JSON, camelCase).

    ``round`` counts how often a person had it tried anew. ``repairs`` is the job whose late write this one makes good;
    it may assert the newest wish a second time.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        _index_where("jobs_one_pending", "resource", where="state = 'pending'", unique=True),
        _index_where("jobs_one_running", "resource", where="state = 'running'", unique=True),
        _index_where("jobs_due", "remote", "lane", "due_at", "id", where="state = 'pending'"),
        _index_where("jobs_published", "published_until", where="state = 'pending' AND published_until IS NOT NULL"),
        _index_where("jobs_leases", "lease_until", where="state = 'running'"),
        _index_where("jobs_failed", "error_code", "id", where="state = 'failed'"),
        _index_where("jobs_request_key", "request_key", where="request_key IS NOT NULL", unique=True),
        Index("jobs_resource", "resource", "id"),
    )

    id: int = _big(primary_key=True)
    batch_id: int = _big()
    kind: JobKind = Field(sa_type=String)
    remote: str
    lane: Lane = Field(sa_type=String)
    resource: str
    wish: str = _words()
    version: int = _big()
    request_key: str | None = None
    forced: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    state: JobState = Field(sa_type=String)
    due_at: datetime = _instant(nullable=False)
    published_until: datetime | None = _instant()
    lease_owner: str | None = None
    lease_until: datetime | None = _instant()
    fence: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    failures: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    crashes: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    round: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    read_first: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    first_sent_at: datetime | None = _instant()
    baseline: float | None = Field(default=None, sa_type=Float)
    result: str | None = None
    error_code: str | None = None
    error: str | None = _words(nullable=True)
    superseded_by: int | None = _big(nullable=True)
    repairs: int | None = _big(nullable=True)
    created_at: datetime = _instant(nullable=False)
    finished_at: datetime | None = _instant()


class Attempt(SQLModel, table=True):
    """One call of the Coaching API for a job: what was asked, what came back, how long it took."""

    __tablename__ = "attempts"
    __table_args__ = (Index("attempts_remote_time", "remote", "started_at"),)

    id: int = _serial()
    job_id: int = Field(sa_column=Column(BigInteger, nullable=False, index=True), default=None)
    number: int
    remote: str
    operation: str
    started_at: datetime = _instant(nullable=False)
    latency_ms: float = Field(sa_type=Float)
    status: int | None = None
    outcome: str
    message: str | None = _words(nullable=True)
    request_id: str
    worker: str


class KnownTarget(SQLModel, table=True):
    """The target as the remote last showed it. ``uncertain``: an attempt since then may have changed it."""

    __tablename__ = "targets"

    name: str = Field(primary_key=True)
    scorecard_template_name: str = Field(sa_type=PlainText)
    criterion_or_chapter_id: str = Field(sa_type=PlainText)
    target: float = Field(sa_type=Float)
    usecase_name: str = Field(sa_type=PlainText)
    coaching_plan_name: str = Field(sa_type=PlainText)
    qa_score: float | None = Field(default=None, sa_type=Float)
    update_time: datetime | None = _instant()
    uncertain: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    known_at: datetime = _instant(nullable=False)
    job_id: int = _big()


class QuotaAnswer(SQLModel, table=True):
    """One answer of RetrieveTotalAgentQuota; the newest of a resource is its quota, the others its history."""

    __tablename__ = "quota_answers"
    __table_args__ = (Index("quota_answers_resource", "resource", "id"),)

    id: int = _serial()
    resource: str
    scorecard_template_name: str
    usecase_name: str | None = None
    total_agent_quota: int
    total_active_agents_count: int
    answered_at: datetime = _instant(nullable=False)
    job_id: int = _big()


class Quarantine(SQLModel, table=True):
    """A remote in quarantine: only single probes go there until one succeeds. No row: all is well.

    ``probes`` counts those that were sent; ``probe_due_at`` is when the next may go.
    """

    __tablename__ = "quarantines"

    remote: str = Field(primary_key=True)
    reason: str = _words()
    since: datetime = _instant(nullable=False)
    probes: int = 0
    probe_due_at: datetime = _instant(nullable=False)


class Pause(SQLModel, table=True):
    """Until when a remote is left alone: by ``every`` lane where it has asked for it, by one whose limit is used up."""

    __tablename__ = "pauses"

    remote: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    until: datetime = _instant(nullable=False)


class Heartbeat(SQLModel, table=True):
    """A process of ours that was alive at ``seen_at``."""

    __tablename__ = "heartbeats"

    name: str = Field(primary_key=True)
    role: str
    seen_at: datetime = _instant(nullable=False)


class Installation(SQLModel, table=True):
    """One row. ``salt`` makes idempotency keys of two installations differ."""

    __tablename__ = "installation"

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False), default=None)
    salt: str
