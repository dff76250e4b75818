"""The tables of the work: what a row means is said here once; the statements live in the modules beside this one."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, false, text
from sqlmodel import Field, SQLModel

from schemas.jobs import JobKind, JobState
from schemas.lanes import Lane
from worker.store.columns import big, index_where, instant, ordered_key, serial, words
from worker.store.engine import PlainText


class Batch(SQLModel, table=True):
    """Jobs accepted together. Counters move in the transaction that moves the jobs.

    ``rows = accepted + rejected``, and once ``completed_at`` is set
    ``accepted = succeeded + failed + superseded + cancelled``; ``unchanged`` is a part of ``succeeded``.
    """

    __tablename__ = "batches"
    __table_args__ = (
        index_where("batches_open", "id", where="completed_at IS NULL"),
        {"sqlite_autoincrement": True},
    )

    id: int = serial()
    key: str | None = Field(default=None, unique=True)
    source: str
    label: str | None = None
    lane: Lane = Field(sa_type=String)
    created_at: datetime = instant(nullable=False)
    touched_at: datetime = instant(nullable=False)
    sealed_at: datetime | None = instant()
    abandoned: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    completed_at: datetime | None = instant()
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

    job_id: int = big(primary_key=True)
    batch_id: int = Field(sa_column=Column(BigInteger, nullable=False, index=True), default=None)
    line: int
    field: str
    reason: str = words()
    value: str = words()


class Resource(SQLModel, table=True):
    """The order of wishes for one resource: its row is the lock under which they are accepted and given back."""

    __tablename__ = "resources"

    name: str = ordered_key()
    version: int = big()
    newest_job_id: int = big()


class Job(SQLModel, table=True):
    """One wish and what became of it. ``wish`` is the producer's, as it was given (JSON, camelCase).

    ``round`` counts how often a person had it tried anew. ``repairs`` is the job whose late write this one makes good;
    it may assert the newest wish a second time. ``debounced_since``: when the storm began whose end this job waits for.
    ``traceparent``: the span in which it was accepted, where there was one.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        index_where("jobs_one_pending", "resource", where="state = 'pending'", unique=True),
        index_where("jobs_one_running", "resource", where="state = 'running'", unique=True),
        index_where("jobs_due", "remote", "lane", "due_at", "id", where="state = 'pending'"),
        index_where("jobs_published", "published_until", where="state = 'pending' AND published_until IS NOT NULL"),
        index_where("jobs_leases", "lease_until", where="state = 'running'"),
        index_where("jobs_failed", "error_code", "id", where="state = 'failed'"),
        index_where("jobs_request_key", "request_key", where="request_key IS NOT NULL", unique=True),
        Index("jobs_resource", "resource", "id"),
    )

    id: int = big(primary_key=True)
    batch_id: int = big()
    kind: JobKind = Field(sa_type=String)
    remote: str
    lane: Lane = Field(sa_type=String)
    resource: str
    wish: str = words()
    version: int = big()
    request_key: str | None = None
    forced: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    state: JobState = Field(sa_type=String)
    due_at: datetime = instant(nullable=False)
    published_until: datetime | None = instant()
    lease_owner: str | None = None
    lease_until: datetime | None = instant()
    fence: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    failures: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    crashes: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    round: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    read_first: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    first_sent_at: datetime | None = instant()
    baseline: float | None = Field(default=None, sa_type=Float)
    result: str | None = None
    error_code: str | None = None
    error: str | None = words(nullable=True)
    superseded_by: int | None = big(nullable=True)
    repairs: int | None = big(nullable=True)
    debounced_since: datetime | None = instant()
    traceparent: str | None = None
    created_at: datetime = instant(nullable=False)
    finished_at: datetime | None = instant()


class Attempt(SQLModel, table=True):
    """One call of the Coaching API for a job: what was asked, what came back, how long it took."""

    __tablename__ = "attempts"
    __table_args__ = (Index("attempts_remote_time", "remote", "started_at"),)

    id: int = serial()
    job_id: int = Field(sa_column=Column(BigInteger, nullable=False, index=True), default=None)
    number: int
    remote: str
    operation: str
    started_at: datetime = instant(nullable=False)
    latency_ms: float = Field(sa_type=Float)
    status: int | None = None
    outcome: str
    message: str | None = words(nullable=True)
    request_id: str
    worker: str


class KnownTarget(SQLModel, table=True):
    """The target as the remote last showed it: to the job ``job_id``, or to a reconciliation.

    ``uncertain``: an attempt since then may have changed it.
    """

    __tablename__ = "targets"
    __table_args__ = (
        Index("targets_identity", "coaching_plan_name", "scorecard_template_name", "criterion_or_chapter_id"),
    )

    name: str = Field(primary_key=True)
    scorecard_template_name: str = Field(sa_type=PlainText)
    criterion_or_chapter_id: str = Field(sa_type=PlainText)
    target: float = Field(sa_type=Float)
    usecase_name: str = Field(sa_type=PlainText)
    coaching_plan_name: str = Field(sa_type=PlainText)
    qa_score: float | None = Field(default=None, sa_type=Float)
    update_time: datetime | None = instant()
    uncertain: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    known_at: datetime = instant(nullable=False)
    job_id: int | None = big(nullable=True)


class QuotaAnswer(SQLModel, table=True):
    """One answer of RetrieveTotalAgentQuota; the newest of a resource is its quota, the others its history.

    The period is the one that was asked for, where one was.
    """

    __tablename__ = "quota_answers"
    __table_args__ = (Index("quota_answers_resource", "resource", "id"),)

    id: int = serial()
    resource: str
    scorecard_template_name: str
    usecase_name: str | None = None
    total_agent_quota: int
    total_active_agents_count: int
    period_start: datetime | None = instant()
    period_end: datetime | None = instant()
    answered_at: datetime = instant(nullable=False)
    job_id: int = big()


class Quarantine(SQLModel, table=True):
    """A remote in quarantine: only single probes go there until one succeeds. No row: all is well.

    ``probes`` counts those that were sent; ``probe_due_at`` is when the next may go.
    """

    __tablename__ = "quarantines"

    remote: str = Field(primary_key=True)
    reason: str = words()
    since: datetime = instant(nullable=False)
    probes: int = 0
    probe_due_at: datetime = instant(nullable=False)


class Pause(SQLModel, table=True):
    """Until when a remote is left alone: by ``every`` lane where it has asked for it, by one whose limit is used up."""

    __tablename__ = "pauses"

    remote: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    until: datetime = instant(nullable=False)


class RemoteRow(SQLModel, table=True):
    """A remote that has been used: ``api_url`` is where all that is known of its targets and quotas came from."""

    __tablename__ = "remotes"

    name: str = Field(primary_key=True)
    api_url: str
    first_used_at: datetime = instant(nullable=False)


class Heartbeat(SQLModel, table=True):
    """A process of ours that was alive at ``seen_at``; ``settings`` is the fingerprint of those of the remotes."""

    __tablename__ = "heartbeats"

    name: str = Field(primary_key=True)
    role: str
    seen_at: datetime = instant(nullable=False)
    settings: str | None = None


class Installation(SQLModel, table=True):
    """One row. ``salt`` makes idempotency keys of two installations differ."""

    __tablename__ = "installation"

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False), default=None)
    salt: str
