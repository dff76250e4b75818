"""The tables as SQLAlchemy Core sees them, for statements that work on many rows at once."""

from typing import cast

from sqlalchemy import Table

from worker.store.console_models import AuditRow, ConsoleSession, Halt
from worker.store.gateway_models import ApiToken, KeptAnswer
from worker.store.models import (
    Attempt,
    Batch,
    Heartbeat,
    Job,
    KnownTarget,
    Pause,
    Quarantine,
    QuotaAnswer,
    Rejection,
    RemoteRow,
    Resource,
)
from worker.store.oversight_models import Approval, Cadence, Drift, Reconciliation
from worker.store.roster_models import AgentRow, Ask, PolicyRow, RosterEventRow, SetAside, Want
from worker.store.webhook_models import Delivery, DeliveryAttempt, Endpoint, EndpointSecret, WebhookMessage


def _table(model: type) -> Table:
    return cast("Table", model.__table__)  # type: ignore[attr-defined]  # SQLModel adds it at class creation


attempts = _table(Attempt)
batches = _table(Batch)
heartbeats = _table(Heartbeat)
jobs = _table(Job)
kept_answers = _table(KeptAnswer)
targets = _table(KnownTarget)
pauses = _table(Pause)
quarantines = _table(Quarantine)
quota_answers = _table(QuotaAnswer)
rejections = _table(Rejection)
remotes = _table(RemoteRow)
resources = _table(Resource)
agents = _table(AgentRow)
api_tokens = _table(ApiToken)
approvals = _table(Approval)
asks = _table(Ask)
cadences = _table(Cadence)
drifts = _table(Drift)
policies = _table(PolicyRow)
reconciliations = _table(Reconciliation)
roster_events = _table(RosterEventRow)
set_aside = _table(SetAside)
wants = _table(Want)
endpoints = _table(Endpoint)
endpoint_secrets = _table(EndpointSecret)
messages = _table(WebhookMessage)
deliveries = _table(Delivery)
delivery_attempts = _table(DeliveryAttempt)
audit = _table(AuditRow)
console_sessions = _table(ConsoleSession)
halts = _table(Halt)
