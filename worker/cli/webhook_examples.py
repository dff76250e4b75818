"""One message of each type, as the reference shows it; all of one morning of one customer."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from schemas.base import Value
from schemas.webhooks import (
    ENDPOINT_TEST,
    BatchCompleted,
    EndpointDisabled,
    EndpointRecovered,
    EndpointTest,
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
    compose,
)

NOW = datetime(2026, 1, 31, 8, 0, 4, 250_000, tzinfo=UTC)
_MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
_PROFILE = "customers/acme/profiles/support"
_TARGET = f"{_PROFILE}/targets/7f3a"
_TEMPLATE = f"{_PROFILE}/scorecardTemplates/compliance"
_VOICE = f"{_PROFILE}/usecases/voice"
_ENDPOINT, _URL = "ep_0123456789abcdef", "https://example.com/hooks"
_QUOTA = QuotaRecalculated(
    scorecard_template_name=f"{_TEMPLATE}@3",
    usecase_name=_VOICE,
    period_start=_MIDNIGHT,
    period_end=datetime(2026, 2, 1, tzinfo=UTC),
    total_agent_quota=412,
    total_active_agents_count=103,
    job_id="18-1",
    batch_id=18,
)

EXAMPLES: Mapping[str, Value] = {
    EventType.TARGET_UPDATED: TargetUpdated(
        name=_TARGET,
        scorecard_template_name=_TEMPLATE,
        usecase_name=_VOICE,
        criterion_or_chapter_id="greeting",
        coaching_plan_name="",
        target=82.5,
        qa_score=79.0,
        result="applied",
        job_id="17-203",
        batch_id=17,
    ),
    EventType.TARGET_FAILED: TargetFailed(
        name=_TARGET,
        scorecard_template_name=_TEMPLATE,
        usecase_name=_VOICE,
        target=82.5,
        code="INVALID_ARGUMENT",
        message="the scorecard template has no criterion 'greeting'",
        job_id="17-204",
        batch_id=17,
    ),
    EventType.TARGET_DRIFTED: TargetDrifted(
        name=_TARGET, field="target", kind="changed", wanted="82.5", found="75", action="observed"
    ),
    EventType.QUOTA_RECALCULATED: _QUOTA,
    EventType.QUOTA_CHANGED: QuotaChanged(**dict(_QUOTA), previous_total_agent_quota=408),
    EventType.QUOTA_FAILED: QuotaFailed(
        scorecard_template_name=f"{_TEMPLATE}@3",
        usecase_name=_VOICE,
        code="not_found",
        message="the remote answered 404: no such scorecard template",
        job_id="18-2",
        batch_id=18,
    ),
    EventType.BATCH_COMPLETED: BatchCompleted(
        batch_id=17,
        source="file:targets.csv",
        label="January",
        rows=500,
        accepted=498,
        rejected=2,
        succeeded=490,
        unchanged=120,
        failed=1,
        superseded=7,
        cancelled=0,
        created_at=NOW - timedelta(minutes=1),
        completed_at=NOW,
    ),
    EventType.ROSTER_GUARD_TRIPPED: GuardTripped(
        approval_id=3,
        door="roster",
        subject="roster.csv",
        reason=f"{_PROFILE}: 312 of 1,004 agents would leave, more than 20% of them and more than 10, within 1 d 0 h",
        expires_at=NOW + timedelta(days=1),
    ),
    EventType.REMOTE_QUARANTINED: RemoteQuarantined(remote="acme", reason="it lets nobody in: 401", since=NOW),
    EventType.REMOTE_RECOVERED: RemoteRecovered(remote="acme", since=NOW - timedelta(minutes=12), recovered_at=NOW),
    EventType.ENDPOINT_DISABLED: EndpointDisabled(
        endpoint_id=_ENDPOINT,
        url=_URL,
        reason="it has failed for 5 days; the last: it answered 502",
        failing_since=NOW - timedelta(days=5),
    ),
    EventType.ENDPOINT_RECOVERED: EndpointRecovered(
        endpoint_id=_ENDPOINT, url=_URL, disabled_at=NOW - timedelta(hours=3)
    ),
    ENDPOINT_TEST: EndpointTest(endpoint_id=_ENDPOINT),
}


def example_message(kind: str) -> str:
    """The body of such a message, as it would be sent."""
    return compose(kind, NOW, EXAMPLES[kind])
