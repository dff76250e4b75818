"""What the outside world is told: the catalogue of event types, what each says, and the message that carries it.

The envelope (``type``, ``timestamp``, ``data``) and the headers are those of Standard Webhooks 1.0
(https://www.standardwebhooks.com). ``version`` rises when a field changes its meaning or goes; new fields may come
at any time. Docstrings and descriptions go into the reference for who receives (`make docs`).
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

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
TargetName = Annotated[str, Field(description="The target, as the Coaching API names it.")]
Template = Annotated[str, Field(description="The scorecard template that the target is for.")]
TemplateRevision = Annotated[str, Field(description="The scorecard template that was asked for, with its revision.")]
Usecase = Annotated[str, Field(description="The usecase.")]
Criterion = Annotated[
    str,
    Field(description="The criterion or chapter; empty for the whole template; absent where the wish left it open."),
]
Plan = Annotated[
    str, Field(description="The coaching plan; empty for the whole organisation; absent where the wish left it open.")
]
Percent = Annotated[float, Field(description="The target's value, in percent.")]
ErrorCode = Annotated[str, Field(description="Why, for programs: docs/reference/errors.md, or the remote's own code.")]
ErrorMessage = Annotated[Words, Field(description="Why, for people.")]
JobId = Annotated[str, Field(description="The job: `coachsync explain` tells its story.")]
JobsBatch = Annotated[int, Field(description="The batch that the job was accepted with.")]
Remote = Annotated[str, Field(description="The remote, by its name in coachsync.toml; `default` for the default one.")]
EndpointId = Annotated[str, Field(description="The endpoint, as `coachsync webhooks endpoints list` has it.")]
EndpointUrl = Annotated[str, Field(description="Where its messages go.")]


class TargetUpdated(Value):
    """A target holds what was wished: it was written, or it was found to be so."""

    name: TargetName
    scorecard_template_name: Template
    usecase_name: Usecase
    criterion_or_chapter_id: Criterion | None = None
    coaching_plan_name: Plan | None = None
    target: Percent
    qa_score: float | None = Field(default=None, description="The QA score, in percent, where the remote has told one.")
    result: str = Field(
        description="`applied`: written; `created`: made; `already_there`: read, and nothing had to be written; "
        "`known`: the same as what was known, so nothing was sent."
    )
    job_id: JobId
    batch_id: JobsBatch


class TargetFailed(Value):
    """A wish for a target was not carried out, and will not be tried again by itself."""

    name: str = Field(description="The target, as the Coaching API names it; empty where it was to be created.")
    scorecard_template_name: Template
    usecase_name: Usecase
    criterion_or_chapter_id: Criterion | None = None
    coaching_plan_name: Plan | None = None
    target: float = Field(description="The value that was wished, in percent.")
    code: ErrorCode
    message: ErrorMessage
    job_id: JobId
    batch_id: JobsBatch


class TargetDrifted(Value):
    """Somebody else has changed a target, or it is gone. Told once for each field, when it is first found."""

    name: TargetName
    field: str = Field(description="What differs, as the Coaching API calls it: `target`, `qaScore`, `usecaseName` …")
    kind: str = Field(
        description="`lost`: what was set did not stay; `changed`: somebody set something else; `missing`: the target "
        "is gone; `identity`: it is for something else."
    )
    wanted: str | None = Field(default=None, description="What was wished, as text.")
    found: str | None = Field(default=None, description="What the remote has, as text.")
    action: str = Field(
        description="What is done about it: `resent`: ours is sent again; `observed`: nothing; `adopted`: theirs is "
        "what is wanted from now on."
    )


class QuotaRecalculated(Value):
    """The remote has answered what the total agent quota of a template is."""

    scorecard_template_name: TemplateRevision
    usecase_name: Usecase | None = None
    period_start: Instant | None = Field(
        default=None, description="The evaluation period asked for, if one was: from …"
    )
    period_end: Instant | None = Field(default=None, description="… to, excluded.")
    total_agent_quota: int = Field(description="The quota.")
    total_active_agents_count: int = Field(description="How many agents it is for.")
    job_id: JobId
    batch_id: JobsBatch


class QuotaChanged(QuotaRecalculated):
    """As `quota.recalculated`, and sent beside it, where the quota is another than the one known before."""

    previous_total_agent_quota: int = Field(description="The quota known before.")


class QuotaFailed(Value):
    """A quota could not be asked for, and will not be tried again by itself."""

    scorecard_template_name: TemplateRevision
    usecase_name: Usecase | None = None
    code: ErrorCode
    message: ErrorMessage
    job_id: JobId
    batch_id: JobsBatch


class BatchCompleted(Value):
    """Each row of a batch has come to its end: rows = accepted + rejected, accepted = the four ends together.

    A batch whose producer was not heard of for a while completes as abandoned. Should it come back with more rows, the
    batch completes once more, then without this word.
    """

    batch_id: int = Field(description="The batch: `coachsync batches show` has the rows that were rejected.")
    source: str = Field(description="Where it came from: `file:…`, `python` …")
    label: str | None = Field(default=None, description="The words that its producer gave it.")
    abandoned: bool = Field(default=False, description="Its producer stopped in the middle.")
    rows: int = Field(description="All that was handed in.")
    accepted: int = Field(description="Rows that became jobs.")
    rejected: int = Field(description="Rows that were wrong.")
    succeeded: int = Field(description="Jobs that were carried out.")
    unchanged: int = Field(description="Of those that succeeded: there was nothing to write.")
    failed: int = Field(description="Jobs that were not carried out.")
    superseded: int = Field(description="Jobs that gave way to a newer wish.")
    cancelled: int = Field(description="Jobs that an operator has cancelled.")
    created_at: Instant = Field(description="When the first row came in.")
    completed_at: Instant = Field(description="When the last job ended.")


class GuardTripped(Value):
    """More would have changed than the guard allows. Nothing was written; the approval waits for a person."""

    approval_id: int = Field(description="What waits: `coachsync approvals show`.")
    door: str = Field(description="Where it came in.")
    subject: Words = Field(description="What would have changed.")
    reason: Words = Field(description="Why it is too much.")
    expires_at: Instant = Field(description="Until when it can be approved.")


class RemoteQuarantined(Value):
    """A remote lets nobody in, or fails in a run: its jobs wait, single probes go out."""

    remote: Remote
    reason: Words = Field(description="What it was put aside for.")
    since: Instant = Field(description="When it was put aside.")


class RemoteRecovered(Value):
    """A remote that was put aside works again, or an operator says so: its jobs go out."""

    remote: Remote
    since: Instant = Field(description="When it was put aside.")
    recovered_at: Instant = Field(description="When that ended.")


class EndpointDisabled(Value):
    """An endpoint is sent nothing any more: it has failed for days, or said that it is gone (410)."""

    endpoint_id: EndpointId
    url: EndpointUrl
    reason: Words = Field(description="What it was disabled for.")
    failing_since: Instant | None = Field(
        default=None, description="Since when it had taken nothing; absent where it had not failed before it was gone."
    )


class EndpointRecovered(Value):
    """An endpoint that had been disabled has taken a message again."""

    endpoint_id: EndpointId
    url: EndpointUrl
    disabled_at: Instant = Field(description="When it had been disabled.")


class EndpointTest(Value):
    """An operator tries an endpoint out: `coachsync webhooks endpoints test`. It is sent once, whatever the filters."""

    endpoint_id: EndpointId
    message: str = Field(
        default="If you can read this and its signature fits, all is well.", description="Words for people."
    )


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
    """A message's body."""

    type: str = Field(description="What the message tells, and so what `data` holds.")
    version: Literal[1] = Field(default=1, description="Rises when a field changes its meaning or goes.")
    timestamp: Instant = Field(description="When it happened. The header `webhook-timestamp` says when it was sent.")
    data: dict[str, object]


def compose(kind: str, happened_at: datetime, data: Value) -> str:
    """The body, as it is kept, signed and sent: JSON in camelCase; an absent field says that nothing is known."""
    envelope = Envelope(
        type=kind, timestamp=happened_at, data=data.model_dump(mode="json", by_alias=True, exclude_none=True)
    )
    return envelope.model_dump_json(by_alias=True)


def shortened(words: str, longest: int = LONGEST_WORDS) -> str:
    return words if len(words) <= longest else f"{words[: longest - 1]}…"
