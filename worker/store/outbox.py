"""What there is to tell is written in the transaction in which it happens, with a delivery for each who asks for it.

Nothing is written that no endpoint asks for. An event that is told twice is there once: its id is derived.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, FromClause, bindparam, select
from sqlmodel import Session

from schemas.webhooks import compose
from worker.core.endpoint_filter import EndpointFilter, Facts
from worker.core.events import Event
from worker.store.bulk import insert_missing
from worker.store.engine import database_now
from worker.store.history import installation_salt
from worker.store.tables import batches, deliveries, endpoints, messages

_NO_TRACES: Mapping[int, str | None] = MappingProxyType({})
ENABLED, PAUSED, DISABLED, DELETED = "enabled", "paused", "disabled", "deleted"
PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"


@dataclass(frozen=True, slots=True)
class Listener:
    """An endpoint as an event sees it. ``addressed``: it gets a delivery; else the message is kept for a recovery."""

    id: str
    filter: EndpointFilter
    addressed: bool


def listeners(session: Session) -> list[Listener]:
    columns = endpoints.c
    query = (
        select(columns.id, columns.types, columns.customers, columns.usecases, columns.batches, columns.state)
        .where(columns.state != DELETED)
        .order_by(columns.id)  # whoever tells of the same makes its deliveries in one order: none waits in a circle
    )
    return [_listener(row) for row in session.execute(query)]


def tell(session: Session, events: Iterable[Event], traces: Mapping[int, str | None] = _NO_TRACES) -> None:
    """In the order given, which for one resource is the order in which it happened: its row is locked.

    Where nobody listens the events are not even made. ``traces``: of each job, the trace that its messages go on in.
    """
    listening = listeners(session)
    events = list(events) if listening else []
    if not events:
        return
    labels = _labels(session, {event.batch_id for event in events if event.batch_id is not None})
    salt = installation_salt(session)
    asked = {
        message_id(salt, event): (event, who)
        for event in events
        if (who := [one for one in listening if one.filter.lets_through(_facts(event, labels))])
    }
    if not asked:
        return
    now = database_now(session)
    rows = [
        _message(name, event, labels, now) | {"traceparent": _trace_of(event, traces)}
        for name, (event, _) in asked.items()
    ]
    insert_missing(session, messages, rows)
    seqs = _seqs(session, asked)
    addressed = [
        delivery_row(seqs[name], one.id, event.resource, now)
        for name, (event, who) in asked.items()
        for one in who
        if one.addressed
    ]
    insert_missing(session, deliveries, addressed)


def message_id(salt: str, event: Event) -> str:
    """The ``webhook-id``: the same for the same happening, whoever tells of it and how often."""
    return f"msg_{hashlib.sha256(f'{salt} {event.type} {event.key}'.encode()).hexdigest()[:32]}"


def is_in(table: FromClause, state: str) -> ColumnElement[bool]:
    """Deliveries in a state, as a literal: only so SQLite knows that a partial index says it already."""
    return table.c.state == bindparam(None, state, literal_execute=True)


def filter_of(row: Any) -> EndpointFilter:
    """Of an endpoint's row."""
    return EndpointFilter(
        *(frozenset(json.loads(text)) for text in (row.types, row.customers, row.usecases, row.batches))
    )


def _listener(row: Any) -> Listener:
    return Listener(row.id, filter_of(row), addressed=row.state != DISABLED)


def _facts(event: Event, labels: Mapping[int | None, str | None]) -> Facts:
    return Facts(event.type, event.customer, event.usecase, event.batch_id, labels.get(event.batch_id))


def _labels(session: Session, ids: Collection[int]) -> dict[int | None, str | None]:
    if not ids:
        return {}
    query = select(batches.c.id, batches.c.label).where(batches.c.id.in_(sorted(ids)))
    return {row.id: row.label for row in session.execute(query)}


def _seqs(session: Session, ids: Collection[str]) -> dict[str, int]:
    query = select(messages.c.id, messages.c.seq).where(messages.c.id.in_(sorted(ids)))
    return {row.id: row.seq for row in session.execute(query)}


def _trace_of(event: Event, traces: Mapping[int, str | None]) -> str | None:
    return None if event.job_id is None else traces.get(event.job_id)


def _message(name: str, event: Event, labels: Mapping[int | None, str | None], now: datetime) -> dict[str, Any]:
    return {
        "id": name,
        "type": event.type,
        "created_at": now,
        "customer": event.customer,
        "usecase": event.usecase,
        "batch_id": event.batch_id,
        "batch_label": labels.get(event.batch_id),
        "job_id": event.job_id,
        "resource": event.resource,
        "body": compose(event.type, now, event.data),
    }


def delivery_row(message_seq: int, endpoint_id: str, resource: str | None, now: datetime) -> dict[str, Any]:
    """A message that is to be sent to an endpoint, at once."""
    return {
        "message_seq": message_seq,
        "endpoint_id": endpoint_id,
        "resource": resource,
        "state": PENDING,
        "due_at": now,
        "attempts": 0,
        "created_at": now,
    }
