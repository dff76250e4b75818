"""What the gateway's answers look like, for its OpenAPI document. The answers themselves are ``worker.telling``'s."""

from datetime import datetime
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from schemas.jobs import JobKind, JobState
from schemas.lanes import Lane


class Problem(TypedDict):
    """RFC 9457; which ``type`` says what beside it: gateway-problems.md."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[dict[str, Any]]]


class Fates(TypedDict):
    queued: int
    superseded: int
    unchanged: int
    repeated: int
    refused: int
    stale: int


class FieldProblem(TypedDict):
    """``pointer`` into a body of JSON (RFC 6901)."""

    pointer: NotRequired[str]
    field: str
    reason: str
    value: str


class RejectedRow(TypedDict):
    """``row`` counts from 1; ``line`` where the body has lines."""

    row: int
    line: NotRequired[int]
    errors: list[FieldProblem]


class Receipt(TypedDict):
    """``job`` where one object was posted. ``rejections`` are the first hundred."""

    batch: int
    rows: int
    accepted: int
    rejected: int
    fates: Fates
    replayed: bool
    job: str | None
    rejections: list[RejectedRow]


class EventReceipt(TypedDict):
    """``held`` events wait for a person to decide ``approval``."""

    accepted: int
    duplicates: int
    joined: int
    left: int
    moved: int
    changed: int
    outdated: int
    held: int
    approval: int | None


class Job(TypedDict):
    job: str
    state: JobState
    resource: str
    kind: JobKind
    remote: str
    lane: Lane
    batch: int
    row: int
    wish: dict[str, Any]
    requestKey: str | None
    forced: bool
    createdAt: datetime
    dueAt: datetime
    finishedAt: datetime | None
    attempts: int
    failures: int
    crashes: int
    readFirst: bool
    leaseUntil: datetime | None
    result: str | None
    errorCode: str | None
    error: str | None
    supersededBy: str | None
    repairs: str | None
    why: str | None


class Attempt(TypedDict):
    number: int
    startedAt: datetime
    operation: str
    status: int | None
    outcome: str
    latencyMs: float
    requestId: str
    worker: str
    message: str | None


class JobWithAttempts(Job):
    attemptsMade: list[Attempt]


class Batch(TypedDict):
    batch: int
    source: str
    label: str | None
    key: str | None
    lane: Lane
    createdAt: datetime
    sealedAt: datetime | None
    abandoned: bool
    completedAt: datetime | None
    rows: int
    accepted: int
    rejected: int
    succeeded: int
    unchanged: int
    failed: int
    superseded: int
    cancelled: int
    open: int
    perSecond: float


class Rejection(TypedDict):
    line: int
    row: int
    field: str
    reason: str
    value: str


class KnownTarget(TypedDict):
    name: str
    target: float
    scorecardTemplateName: str
    criterionOrChapterId: str
    usecaseName: str
    coachingPlanName: str
    qaScore: float | None
    updateTime: datetime | None
    knownAt: datetime
    uncertain: bool
    job: str | None


class TargetView(TypedDict):
    """``differs`` is null where nobody can say."""

    known: KnownTarget | None
    newestWish: Job | None
    differs: bool | None
    differences: list[str] | None


class QuotaAnswer(TypedDict):
    resource: str
    totalAgentQuota: int
    totalActiveAgentsCount: int
    answeredAt: datetime
    job: str | None
    scorecardTemplateName: str
    usecaseName: str | None
    periodStart: datetime | None
    periodEnd: datetime | None


class Quota(QuotaAnswer):
    previous: int | None
    changedAt: datetime


class Jobs(TypedDict):
    jobs: list[Job]
    nextPageToken: str


class Batches(TypedDict):
    batches: list[Batch]
    nextPageToken: str


class Rejections(TypedDict):
    rejections: list[Rejection]
    nextPageToken: str


class Quotas(TypedDict):
    quotas: list[Quota]
    nextPageToken: str


class QuotaAnswers(TypedDict):
    answers: list[QuotaAnswer]
    nextPageToken: str


class Story(TypedDict):
    """Everything that belongs to it, as ``coachsync explain --json`` tells it; ``what`` says which fields there are."""

    what: Literal["job", "batch", "resource", "event", "agent", "message"]
