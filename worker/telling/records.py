"""Rows of the store as commands show them: the same names in tables and in JSON, camelCase as on the wire."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from schemas.ids import MAX_ROWS, format_job_id
from worker.store.console_models import AuditRow
from worker.store.known import CurrentQuota
from worker.store.listing import ErrorCount
from worker.store.models import Attempt, Batch, Job, KnownTarget, QuotaAnswer, Rejection

Fields = dict[str, Any]


def job_record(job: Job) -> Fields:
    return {
        "job": format_job_id(job.id),
        "state": str(job.state),
        "resource": job.resource,
        "kind": str(job.kind),
        "remote": job.remote,
        "lane": str(job.lane),
        "batch": job.batch_id,
        "row": job.id & MAX_ROWS,
        "wish": json.loads(job.wish),
        "requestKey": job.request_key,
        "forced": job.forced,
        "createdAt": job.created_at,
        "dueAt": job.due_at,
        "finishedAt": job.finished_at,
        "attempts": job.attempts,
        "failures": job.failures,
        "crashes": job.crashes,
        "readFirst": job.read_first,
        "leaseUntil": job.lease_until,
        "result": job.result,
        "errorCode": job.error_code,
        "error": job.error,
        "supersededBy": _job(job.superseded_by),
        "repairs": _job(job.repairs),
    }


def attempt_record(attempt: Attempt) -> Fields:
    return {
        "number": attempt.number,
        "startedAt": attempt.started_at,
        "operation": attempt.operation,
        "status": attempt.status,
        "outcome": attempt.outcome,
        "latencyMs": attempt.latency_ms,
        "requestId": attempt.request_id,
        "worker": attempt.worker,
        "message": attempt.message,
    }


def target_record(target: KnownTarget) -> Fields:
    return {
        "name": target.name,
        "target": target.target,
        "scorecardTemplateName": target.scorecard_template_name,
        "criterionOrChapterId": target.criterion_or_chapter_id,
        "usecaseName": target.usecase_name,
        "coachingPlanName": target.coaching_plan_name,
        "qaScore": target.qa_score,
        "updateTime": target.update_time,
        "knownAt": target.known_at,
        "uncertain": target.uncertain,
        "job": _job(target.job_id),
    }


def quota_record(answer: QuotaAnswer) -> Fields:
    return {
        "resource": answer.resource,
        "totalAgentQuota": answer.total_agent_quota,
        "totalActiveAgentsCount": answer.total_active_agents_count,
        "answeredAt": answer.answered_at,
        "job": _job(answer.job_id),
        "scorecardTemplateName": answer.scorecard_template_name,
        "usecaseName": answer.usecase_name,
        "periodStart": answer.period_start,
        "periodEnd": answer.period_end,
    }


def current_quota_record(quota: CurrentQuota) -> Fields:
    return quota_record(quota.answer) | {"previous": quota.previous, "changedAt": quota.changed_at}


def batch_record(batch: Batch, now: datetime) -> Fields:
    """``perSecond``: jobs that workers have ended, over the time the batch has taken so far."""
    return {
        "batch": batch.id,
        "source": batch.source,
        "label": batch.label,
        "key": batch.key,
        "lane": str(batch.lane),
        "createdAt": batch.created_at,
        "sealedAt": batch.sealed_at,
        "abandoned": batch.abandoned,
        "completedAt": batch.completed_at,
        "rows": batch.rows,
        "accepted": batch.accepted,
        "rejected": batch.rejected,
        "succeeded": batch.succeeded,
        "unchanged": batch.unchanged,
        "failed": batch.failed,
        "superseded": batch.superseded,
        "cancelled": batch.cancelled,
        "open": batch.accepted - ended(batch),
        "perSecond": _rate(batch, now),
    }


def rejection_record(rejection: Rejection) -> Fields:
    return {
        "line": rejection.line,
        "row": rejection.job_id & MAX_ROWS,
        "field": rejection.field,
        "reason": rejection.reason,
        "value": rejection.value,
    }


def error_record(error: ErrorCount) -> Fields:
    return {
        "errorCode": error.code,
        "count": error.count,
        "example": format_job_id(error.example.id),
        "resource": error.example.resource,
        "error": error.example.error,
    }


def audit_record(row: AuditRow) -> Fields:
    return {
        "number": row.id,
        "at": row.at,
        "who": row.who,
        "door": row.door,
        "action": row.action,
        "subject": row.subject,
        "outcome": row.outcome,
        "result": row.result,
    }


def ended(batch: Batch) -> int:
    return batch.succeeded + batch.failed + batch.superseded + batch.cancelled


def only(record: Mapping[str, Any], *names: str) -> Fields:
    """The fields that a person is shown; JSON has all."""
    return {name: record[name] for name in names}


def _job(job_id: int | None) -> str | None:
    return None if job_id is None else format_job_id(job_id)


def _rate(batch: Batch, now: datetime) -> float:
    seconds = ((batch.completed_at or now) - batch.created_at) / timedelta(seconds=1)
    done = batch.succeeded - batch.unchanged + batch.failed
    return round(done / seconds, 1) if seconds > 0 else 0.0
