"""Deliveries: which are due, what came of each attempt, and what a person does about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, insert, select, update
from sqlmodel import Session, col

from worker.core.delivery import Delivered, Health, Observed, Reply, SetAside, TryAgain, decide, observe
from worker.core.events import of_disabled_endpoint, of_recovered_endpoint
from worker.store import outbox
from worker.store.endpoints import health_of, set_aside_pending
from worker.store.engine import database_now
from worker.store.outbox import DEAD, DELETED, DELIVERED, DISABLED, PENDING, is_in
from worker.store.tables import deliveries, delivery_attempts, endpoints, messages
from worker.store.webhook_models import Endpoint


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery to be sent: ``message_id`` is its ``webhook-id``, ``body`` what is signed."""

    id: int
    endpoint_id: str
    attempts: int
    message_id: str
    body: str
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one request."""

    due: Due
    started_at: datetime
    latency_ms: float
    reply: Reply


@dataclass(frozen=True, slots=True)
class Sender:
    """The process that sends; ``uniform`` draws the jitter."""

    name: str
    uniform: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Recorded:
    """How an endpoint stands after its answers; ``ours`` no more where another process has taken it meanwhile."""

    ours: bool
    state: str
    warning: int | None = None
    disabled: str | None = None


def due(session: Session, endpoint: Endpoint, limit: int) -> list[Due]:
    """What may be sent now, the longest due first; where order is asked for, of each resource the first alone."""
    columns = deliveries.c
    query = _joined().where(
        columns.endpoint_id == endpoint.id, is_in(deliveries, PENDING), columns.due_at <= database_now(session)
    )
    if endpoint.ordered:
        query = query.where(~_something_before())
    rows = session.execute(query.order_by(columns.due_at, columns.id).limit(limit))
    return [Due(*row) for row in rows]


def record(session: Session, endpoint_id: str, fence: int, sent: Sequence[Sent], sender: Sender) -> Recorded:
    """Write what came of these requests to one endpoint. Who has lost it keeps the attempts, and changes nothing.

    What comes late to an endpoint that is not sent to any more says nothing of its health.
    """
    row = session.execute(
        select(Endpoint).where(col(Endpoint.id) == endpoint_id).with_for_update(),
        execution_options={"populate_existing": True},
    ).scalar_one()
    now = database_now(session)
    standing = Recorded(ours=(row.owner, row.fence) == (sender.name, fence), state=row.state)
    if _is_written(session, sent[0], sender.name):
        return standing
    _insert_attempts(session, sent, sender.name)
    if not standing.ours:
        return standing
    _settle(session, sent, now, sender.uniform)
    if row.state in (DISABLED, DELETED):
        return standing
    health, observed = health_of(row), []
    for one in sent:
        observed.append(observe(health, one.reply, now))
        health = observed[-1].health
        if observed[-1].disable:  # it stays so, whatever came beside it
            break
    session.execute(
        update(endpoints)
        .where(endpoints.c.id == endpoint_id)
        .values(
            failures=health.failures,
            failing_since=health.failing_since,
            warned=health.warned,
            held_until=health.held_until,
            disabled_at=health.disabled_at,
        )
    )
    return _announce(session, row, health, observed, now)


def _is_written(session: Session, one: Sent, sender: str) -> bool:
    """Its group is: the commit was done, and its answer lost with the connection."""
    columns = delivery_attempts.c
    query = select(columns.id).where(
        columns.delivery_id == one.due.id, columns.started_at == one.started_at, columns.sender == sender
    )
    return session.execute(query).first() is not None


def _joined() -> Select[Any]:
    columns = deliveries.c
    return select(
        columns.id,
        columns.endpoint_id,
        columns.attempts,
        messages.c.id.label("message_id"),
        messages.c.body,
        messages.c.traceparent,
    ).join_from(deliveries, messages, messages.c.seq == columns.message_seq)


def _something_before() -> ColumnElement[bool]:
    before = deliveries.alias("before")
    return (
        exists()
        .where(
            before.c.endpoint_id == deliveries.c.endpoint_id,
            before.c.resource == deliveries.c.resource,
            before.c.message_seq < deliveries.c.message_seq,
            is_in(before, PENDING),
        )
        .correlate(deliveries)
    )


def _settle(session: Session, sent: Sequence[Sent], now: datetime, uniform: Callable[[], float]) -> None:
    """What was set aside meanwhile, with its endpoint, is not tried again; what has arrived has arrived."""
    arrived: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for one in sent:
        row = {"delivery": one.due.id, "number": one.due.attempts + 1, "answer": one.reply.status}
        match decide(one.reply, one.due.attempts, uniform):
            case Delivered():
                arrived.append(row | {"to": DELIVERED, "why": None, "due": now, "end": now})
            case TryAgain(after=after):
                others.append(row | {"to": PENDING, "why": one.reply.words, "due": now + after, "end": None})
            case SetAside(reason=reason):
                others.append(row | {"to": DEAD, "why": reason, "due": now, "end": now})
    statement = (
        update(deliveries)
        .where(deliveries.c.id == bindparam("delivery"))
        .values(
            state=bindparam("to"),
            attempts=bindparam("number"),
            status=bindparam("answer"),
            error=bindparam("why"),
            due_at=bindparam("due"),
            finished_at=bindparam("end"),
        )
    )
    if arrived:
        session.connection().execute(statement, arrived)
    if others:
        session.connection().execute(statement.where(deliveries.c.state == PENDING), others)


def _announce(session: Session, row: Endpoint, health: Health, observed: Sequence[Observed], now: datetime) -> Recorded:
    """Whoever disables it says so, once: its row is locked."""
    state, reason = row.state, next((one.disable for one in observed if one.disable), None)
    warning = max((one.warning for one in observed if one.warning), default=None)
    recovered_from = next((one.recovered_from for one in observed if one.recovered_from), None)
    if recovered_from:
        outbox.tell(session, [of_recovered_endpoint(row.id, row.url, recovered_from)])
    if not reason:
        return Recorded(ours=True, state=state, warning=warning)
    at = health.disabled_at or now
    session.execute(
        update(endpoints).where(endpoints.c.id == row.id).values(state=DISABLED, disabled_at=at, disabled_reason=reason)
    )
    set_aside_pending(session, row.id, f"the endpoint was disabled: {reason}")
    outbox.tell(session, [of_disabled_endpoint(row.id, row.url, reason, health.failing_since, at)])
    return Recorded(ours=True, state=DISABLED, warning=warning, disabled=reason)


def _insert_attempts(session: Session, sent: Sequence[Sent], sender: str) -> None:
    rows = [
        {
            "delivery_id": one.due.id,
            "started_at": one.started_at,
            "latency_ms": one.latency_ms,
            "status": one.reply.status,
            "error": one.reply.error,
            "body": one.reply.body or None,
            "sender": sender,
        }
        for one in sent
    ]
    session.execute(insert(delivery_attempts), rows)
