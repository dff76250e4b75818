"""Pure: what there is to tell of what has happened. Each happening has a key: it is told once for each type."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from schemas.base import Value
from schemas.coaching import Quota, Target
from schemas.ids import format_job_id
from schemas.jobs import JobKind, QuotaRecalculation, TargetCreation, TargetUpdate, Wish
from schemas.names import MAX_NAME_LENGTH, customer_of
from schemas.webhooks import (
    BatchCompleted,
    EndpointDisabled,
    EndpointRecovered,
    EventType,
    GuardTripped,
    QuotaChanged,
    QuotaFailed,
    QuotaRecalculated,
    RemoteQuarantined,
    RemoteRecovered,
    TargetDrifted,
    TargetFailed,
    TargetUpdated,
    shortened,
)
from worker.core.decisions import Fail, Succeed
from worker.core.drift import Finding

N = TypeVar("N", str, str | None)

WISHES: dict[JobKind, type[Wish]] = {
    JobKind.TARGET_UPDATE: TargetUpdate,
    JobKind.TARGET_CREATION: TargetCreation,
    JobKind.QUOTA_RECALCULATION: QuotaRecalculation,
}


@dataclass(frozen=True, slots=True)
class Event:
    """``key`` names the happening. The other facts are what endpoints filter by, and order by: ``resource``."""

    type: EventType
    key: str
    data: Value
    customer: str | None = None
    usecase: str | None = None
    batch_id: int | None = None
    job_id: int | None = None
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has come to its end. ``round``: how often a person had it tried anew.

    ``name``: the target's, where the remote was not asked for it.
    """

    id: int
    batch_id: int
    round: int
    kind: JobKind
    resource: str
    wish: str
    decision: Succeed | Fail
    name: str = ""

    @property
    def parsed(self) -> Wish:
        return WISHES[self.kind].model_validate_json(self.wish)


def of_job(job: Ended, asked: QuotaRecalculation | None = None, previous_quota: int | None = None) -> Iterator[Event]:
    """``asked`` is the question whose answer the job has; ``previous_quota`` the one known before, if any."""
    match job.decision, job.parsed:
        case Succeed(known=Quota() as quota), QuotaRecalculation() as wish:
            yield from _quota(job, asked or wish, quota, previous_quota)
        case Succeed(known=Target() as target), TargetUpdate() | TargetCreation() as wish:
            yield _event(job, EventType.TARGET_UPDATED, _updated(job, target.name, target, wish), wish)
        case Succeed(), TargetUpdate() | TargetCreation() as wish:
            yield _event(job, EventType.TARGET_UPDATED, _updated(job, job.name, None, wish), wish)
        case Fail() as failed, QuotaRecalculation() as wish:
            yield _event(job, EventType.QUOTA_FAILED, _quota_failed(job, wish, failed), wish)
        case Fail() as failed, TargetUpdate() | TargetCreation() as wish:
            yield _event(job, EventType.TARGET_FAILED, _target_failed(job, wish, failed), wish)
        case decision, wish:
            raise TypeError(f"{decision!r} is no end of {wish!r}")


def of_drift(drift_id: int, target: str, finding: Finding) -> Event:
    data = TargetDrifted(
        name=target,
        field=finding.field,
        kind=finding.kind,
        wanted=shortened(finding.wanted),
        found=shortened(finding.found),
        action=finding.action,
    )
    return Event(EventType.TARGET_DRIFTED, str(drift_id), data, customer_of(target), resource=target)


def of_guard(approval_id: int, door: str, subject: str, reason: str, expires_at: datetime) -> Event:
    data = GuardTripped(
        approval_id=approval_id,
        door=door,
        subject=shortened(subject),
        reason=shortened(reason),
        expires_at=expires_at,
    )
    return Event(EventType.ROSTER_GUARD_TRIPPED, str(approval_id), data)


def of_batch(done: BatchCompleted) -> Event:
    """Told once; and once before, where it was taken for abandoned."""
    key = f"{done.batch_id}.abandoned" if done.abandoned else str(done.batch_id)
    words = {"source": shortened(done.source), "label": done.label and shortened(done.label)}
    data = done.model_copy(update=words)
    return Event(EventType.BATCH_COMPLETED, key, data, batch_id=done.batch_id, resource=f"batches/{done.batch_id}")


def of_quarantine(remote: str, reason: str, since: datetime) -> Event:
    data = RemoteQuarantined(remote=remote, reason=shortened(reason), since=since)
    return Event(EventType.REMOTE_QUARANTINED, f"{remote} {since.isoformat()}", data, resource=_remote(remote))


def of_recovery(remote: str, since: datetime, now: datetime) -> Event:
    data = RemoteRecovered(remote=remote, since=since, recovered_at=now)
    return Event(EventType.REMOTE_RECOVERED, f"{remote} {since.isoformat()}", data, resource=_remote(remote))


def of_disabled_endpoint(
    endpoint_id: str, url: str, reason: str, failing_since: datetime | None, at: datetime
) -> Event:
    data = EndpointDisabled(endpoint_id=endpoint_id, url=url, reason=shortened(reason), failing_since=failing_since)
    return Event(EventType.ENDPOINT_DISABLED, f"{endpoint_id} {at.isoformat()}", data, resource=endpoint_id)


def of_recovered_endpoint(endpoint_id: str, url: str, disabled_at: datetime) -> Event:
    data = EndpointRecovered(endpoint_id=endpoint_id, url=url, disabled_at=disabled_at)
    return Event(EventType.ENDPOINT_RECOVERED, f"{endpoint_id} {disabled_at.isoformat()}", data, resource=endpoint_id)


def _remote(name: str) -> str:
    return f"remotes/{name}"


def _event(job: Ended, kind: EventType, data: Value, wish: Wish) -> Event:
    return Event(
        kind,
        f"{format_job_id(job.id)}.{job.round}",
        data,
        customer_of(job.resource),
        wish.usecase_name,
        job.batch_id,
        job.id,
        job.resource,
    )


def _name(text: N) -> N:
    """A remote may call things by more than a name's length."""
    return text and shortened(text, MAX_NAME_LENGTH)


def _updated(job: Ended, name: str, known: Target | None, wish: TargetUpdate | TargetCreation) -> TargetUpdated:
    assert isinstance(job.decision, Succeed)  # noqa: S101 - the caller has looked
    source = known or wish
    return TargetUpdated(
        name=name,
        scorecard_template_name=_name(source.scorecard_template_name),
        usecase_name=_name(source.usecase_name),
        criterion_or_chapter_id=_name(source.criterion_or_chapter_id),
        coaching_plan_name=_name(source.coaching_plan_name),
        target=source.target,
        qa_score=known.qa_score if known else None,
        result=job.decision.result,
        job_id=format_job_id(job.id),
        batch_id=job.batch_id,
    )


def _target_failed(job: Ended, wish: TargetUpdate | TargetCreation, failed: Fail) -> TargetFailed:
    return TargetFailed(
        name=job.resource if job.kind is JobKind.TARGET_UPDATE else "",
        scorecard_template_name=wish.scorecard_template_name,
        usecase_name=wish.usecase_name,
        criterion_or_chapter_id=wish.criterion_or_chapter_id,
        coaching_plan_name=wish.coaching_plan_name,
        target=wish.target,
        code=failed.code,
        message=shortened(failed.message),
        job_id=format_job_id(job.id),
        batch_id=job.batch_id,
    )


def _quota_failed(job: Ended, wish: QuotaRecalculation, failed: Fail) -> QuotaFailed:
    return QuotaFailed(
        scorecard_template_name=wish.scorecard_template_name,
        usecase_name=wish.usecase_name,
        code=failed.code,
        message=shortened(failed.message),
        job_id=format_job_id(job.id),
        batch_id=job.batch_id,
    )


def _quota(job: Ended, asked: QuotaRecalculation, quota: Quota, previous: int | None) -> Iterator[Event]:
    period = asked.evaluation_period
    told = QuotaRecalculated(
        scorecard_template_name=asked.scorecard_template_name,
        usecase_name=asked.usecase_name,
        period_start=period and period.start_time,
        period_end=period and period.end_time,
        total_agent_quota=quota.total_agent_quota,
        total_active_agents_count=quota.total_active_agents_count,
        job_id=format_job_id(job.id),
        batch_id=job.batch_id,
    )
    yield _event(job, EventType.QUOTA_RECALCULATED, told, asked)
    if previous is not None and previous != quota.total_agent_quota:
        changed = QuotaChanged(**dict(told), previous_total_agent_quota=previous)
        yield _event(job, EventType.QUOTA_CHANGED, changed, asked)
