"""What the outside world is told: the catalogue of event types, what each says, and the message that carries it.

The envelope (``type``, ``timestamp``, ``data``) and the headers are those of Standard Webhooks 1.0
(https://www.standardwebhooks.com). ``version`` rises when a field changes its meaning or goes; new fields may come
at any time.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import StringConstraints

from schemas.base import Value
from schemas.instants import Instant

VERSION = 1
LONGEST_BODY = 20_000  # bytes; Standard Webhooks recommends to stay below
LONGEST_WORDS = 1_000  # characters of what others have said

SignatureKind = Literal["v1", "v1a"]
"""``v1``: HMAC-SHA256 with a shared secret; ``v1a``: ed25519, verified with a public key."""


class EventType(StrEnum):
    TARGET_UPDATED = "target.updated"
    TARGET_FAILED = "target.failed"
    TARGET_DRIFTED = "target.drifted"
    QUOTA_RECALCULATED = "quota.recalculated"
    QUOTA_CHANGED = "quota.changed"
    QUOTA_FAILED = "quota.failed"
    BATCH_COMPLETED = "batch.completed"
    ROSTER_GUARD_TRIPPED = "roster.guard_tripped"
    REMOTE_QUARANTINED = "remote.quarantined"
    REMOTE_RECOVERED = "remote.recovered"
    ENDPOINT_DISABLED = "endpoint.disabled"
    ENDPOINT_RECOVERED = "endpoint.recovered"


ENDPOINT_TEST = "endpoint.test"  # sent by `coachsync webhooks endpoints test` only; nobody has to ask for it

Words = Annotated[str, StringConstraints(max_length=LONGEST_WORDS)]


class TargetUpdated(Value):
    """The remote holds what was wished. ``result``: applied, created, already_there or known."""

    name: str
    scorecard_template_name: str
    usecase_name: str
    criterion_or_chapter_id: str
    coaching_plan_name: str
    target: float
    qa_score: float | None = None
    result: str
    job_id: str
    batch_id: int


class TargetFailed(Value):
    """The wish was not carried out, and will not be tried again. ``name`` is empty where a creation failed."""

    name: str
    scorecard_template_name: str
    usecase_name: str
    criterion_or_chapter_id: str | None = None
    coaching_plan_name: str | None = None
    target: float
    code: str
    message: Words
    job_id: str
    batch_id: int


class TargetDrifted(Value):
    """Somebody else has changed a target. ``action`` says what is done about it: enforced, observed or adopted."""

    name: str
    field: str
    kind: str
    wanted: str | None = None
    found: str | None = None
    action: str


class QuotaRecalculated(Value):
    """An answer of the remote. The period is the one that was asked for, where one was."""

    scorecard_template_name: str
    usecase_name: str | None = None
    period_start: Instant | None = None
    period_end: Instant | None = None
    total_agent_quota: int
    total_active_agents_count: int
    job_id: str
    batch_id: int


class QuotaChanged(QuotaRecalculated):
    """As ``quota.recalculated``, where the quota is another than the one known before."""

    previous_total_agent_quota: int


class QuotaFailed(Value):
    scorecard_template_name: str
    usecase_name: str | None = None
    code: str
    message: Words
    job_id: str
    batch_id: int


class BatchCompleted(Value):
    """``rows = accepted + rejected`` and ``accepted = succeeded + failed + superseded + cancelled``.

    ``abandoned``: its producer was not heard of for a while. Should it come back with more rows, the batch completes
    once more, then without this word.
    """

    batch_id: int
    source: str
    label: str | None = None
    abandoned: bool = False
    rows: int
    accepted: int
    rejected: int
    succeeded: int
    unchanged: int
    failed: int
    superseded: int
    cancelled: int
    created_at: Instant
    completed_at: Instant


class GuardTripped(Value):
    """More would have changed than the guard allows. Nothing was written; ``approvalId`` waits for a person."""

    approval_id: int
    door: str
    subject: Words
    reason: Words
    expires_at: Instant


class RemoteQuarantined(Value):
    """The remote is put aside: jobs stay pending, single probes go out."""

    remote: str
    reason: Words
    since: Instant


class RemoteRecovered(Value):
    remote: str
    since: Instant
    recovered_at: Instant


class EndpointDisabled(Value):
    """Nothing is sent to the endpoint any more. ``failingSince`` is absent where it said that it is gone (410)."""

    endpoint_id: str
    url: str
    reason: Words
    failing_since: Instant | None = None


class EndpointRecovered(Value):
    """An endpoint that had been disabled has taken a message again."""

    endpoint_id: str
    url: str
    disabled_at: Instant


CATALOGUE: Mapping[EventType, type[Value]] = {
    EventType.TARGET_UPDATED: TargetUpdated,
    EventType.TARGET_FAILED: TargetFailed,
    EventType.TARGET_DRIFTED: TargetDrifted,
    EventType.QUOTA_RECALCULATED: QuotaRecalculated,
    EventType.QUOTA_CHANGED: QuotaChanged,
    EventType.QUOTA_FAILED: QuotaFailed,
    EventType.BATCH_COMPLETED: BatchCompleted,
    EventType.ROSTER_GUARD_TRIPPED: GuardTripped,
    EventType.REMOTE_QUARANTINED: RemoteQuarantined,
    EventType.REMOTE_RECOVERED: RemoteRecovered,
    EventType.ENDPOINT_DISABLED: EndpointDisabled,
    EventType.ENDPOINT_RECOVERED: EndpointRecovered,
}


class Envelope(Value):
    """A message's body. ``timestamp`` is when it happened, the header ``webhook-timestamp`` when it was sent."""

    type: str
    version: Literal[1] = 1
    timestamp: Instant
    data: dict[str, object]


def compose(kind: str, happened_at: datetime, data: Value) -> str:
    """The body, as it is kept, signed and sent: JSON in camelCase; an absent field says that nothing is known."""
    envelope = Envelope(
        type=kind, timestamp=happened_at, data=data.model_dump(mode="json", by_alias=True, exclude_none=True)
    )
    return envelope.model_dump_json(by_alias=True)


def shortened(words: str) -> str:
    return words if len(words) <= LONGEST_WORDS else f"{words[: LONGEST_WORDS - 1]}…"
