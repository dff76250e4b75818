"""Endpoints and deliveries as commands show them."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import Session

from schemas.ids import format_job_id
from worker.store import endpoints
from worker.store.endpoints import Depth
from worker.store.webhook_models import Delivery, DeliveryAttempt, Endpoint, EndpointSecret, WebhookMessage
from worker.telling.records import Fields

ENDPOINT_COLUMNS = ("endpoint", "state", "url", "asksFor", "failures", "failingSince", "pending", "oldestDue", "dead")
DELIVERY_COLUMNS = (
    "delivery", "state", "endpoint", "type", "about", "attempts", "status", "createdAt", "dueAt", "error",
)  # fmt: skip
ATTEMPT_COLUMNS = ("startedAt", "status", "latencyMs", "error", "body", "sender")


def endpoint_record(session: Session, endpoint: Endpoint) -> Fields:
    (record,) = endpoint_records(session, [endpoint])
    return record


def endpoint_records(session: Session, found: Sequence[Endpoint]) -> list[Fields]:
    """Of however many in three looks."""
    ids = [one.id for one in found]
    depths, secrets = endpoints.depths_of(session, ids), defaultdict[str, list[EndpointSecret]](list)
    for secret in endpoints.secrets_of(session, ids):
        secrets[secret.endpoint_id].append(secret)
    return [_endpoint_record(one, depths[one.id], secrets[one.id]) for one in found]


def _endpoint_record(endpoint: Endpoint, depth: Depth, secrets: Sequence[EndpointSecret]) -> Fields:
    return {
        "endpoint": endpoint.id,
        "state": endpoint.state,
        "url": endpoint.url,
        "description": endpoint.description,
        "types": json.loads(endpoint.types),
        "customers": json.loads(endpoint.customers),
        "usecases": json.loads(endpoint.usecases),
        "batches": json.loads(endpoint.batches),
        "ordered": endpoint.ordered,
        "rateLimit": endpoint.rate_limit,
        "concurrency": endpoint.concurrency,
        "createdAt": endpoint.created_at,
        "failures": endpoint.failures,
        "failingSince": endpoint.failing_since,
        "heldUntil": endpoint.held_until,
        "disabledAt": endpoint.disabled_at,
        "disabledReason": endpoint.disabled_reason,
        "pending": depth.pending,
        "oldestDue": depth.oldest_due,
        "dead": depth.dead,
        "sentBy": endpoint.owner,
        "secrets": [{"kind": one.kind, "createdAt": one.created_at, "retiresAt": one.retires_at} for one in secrets],
    }


def endpoint_row(record: Mapping[str, Any]) -> Fields:
    """For people."""
    filters = ("types", "customers", "usecases", "batches")
    asks = "; ".join(", ".join(record[name]) for name in filters if record[name])
    return {
        **{name: value for name, value in record.items() if name not in (*filters, "secrets")},
        "asksFor": asks or "everything",
        "secrets": len(record["secrets"]),
    }


def delivery_record(delivery: Delivery, message: WebhookMessage) -> Fields:
    return {
        "delivery": delivery.id,
        "state": delivery.state,
        "endpoint": delivery.endpoint_id,
        "messageId": message.id,
        "type": message.type,
        "about": message.resource,
        "job": None if message.job_id is None else format_job_id(message.job_id),
        "batch": message.batch_id,
        "attempts": delivery.attempts,
        "status": delivery.status,
        "error": delivery.error,
        "createdAt": delivery.created_at,
        "dueAt": delivery.due_at if delivery.finished_at is None else None,
        "finishedAt": delivery.finished_at,
    }


def attempt_record(attempt: DeliveryAttempt) -> Fields:
    return {
        "startedAt": attempt.started_at,
        "status": attempt.status,
        "latencyMs": attempt.latency_ms,
        "error": attempt.error,
        "body": attempt.body,
        "sender": attempt.sender,
    }
