"""What a person does about deliveries: look at them, send them again, recover what an endpoint has missed."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, select, update
from sqlmodel import Session, col

from worker.core.endpoint_filter import EndpointFilter, Facts
from worker.store.bulk import insert_missing
from worker.store.engine import database_now
from worker.store.outbox import DEAD, DELIVERED, ENABLED, PAUSED, PENDING, delivery_row, filter_of, is_in
from worker.store.tables import deliveries, endpoints, messages
from worker.store.webhook_models import Delivery, DeliveryAttempt, Endpoint, WebhookMessage

PAGE = 500


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    endpoint: str | None = None
    state: str | None = None
    type: str | None = None
    job: int | None = None
    batch: int | None = None
    since: datetime | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        asked: list[tuple[object, ColumnElement[bool]]] = [
            (self.endpoint, deliveries.c.endpoint_id == self.endpoint),
            (self.state, is_in(deliveries, self.state or "")),
            (self.type, messages.c.type == self.type),
            (self.job, messages.c.job_id == self.job),
            (self.batch, messages.c.batch_id == self.batch),
        ]
        held = [condition for value, condition in asked if value is not None]
        return [*held, deliveries.c.created_at >= self.since] if self.since else held


@dataclass(frozen=True, slots=True)
class Window:
    """The messages of a time, ``until`` excluded, and of some types; an empty set is all of them."""

    since: datetime
    until: datetime
    types: EndpointFilter


@dataclass(frozen=True, slots=True)
class Recovered:
    """A page of messages that the endpoint asks for: how many are ``missing`` a delivery, ``dead``, or need nothing.

    ``last``: the page goes on after this; None where there is no more.
    """

    last: int | None
    counts: Counter[str]


def list_deliveries(
    session: Session, chosen: DeliveryFilter, limit: int, before: int | None = None
) -> list[tuple[Delivery, WebhookMessage]]:
    """Newest first."""
    query = _with_message().where(*chosen.conditions).order_by(col(Delivery.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(Delivery.id) < before)
    return [(row[0], row[1]) for row in session.execute(query)]


def find_delivery(session: Session, delivery_id: int) -> tuple[Delivery, WebhookMessage] | None:
    row = session.execute(_with_message().where(col(Delivery.id) == delivery_id)).one_or_none()
    return (row[0], row[1]) if row else None


def attempts_of(session: Session, delivery_id: int) -> list[DeliveryAttempt]:
    query = select(DeliveryAttempt).where(col(DeliveryAttempt.delivery_id) == delivery_id)
    return list(session.execute(query.order_by(col(DeliveryAttempt.id))).scalars())


def ids_of(session: Session, chosen: DeliveryFilter, after: int, limit: int) -> list[int]:
    """Those that could be sent again."""
    query = select(deliveries.c.id).join_from(deliveries, messages, messages.c.seq == deliveries.c.message_seq)
    query = (
        query.where(*chosen.conditions, deliveries.c.id > after, _has_a_taker()).order_by(deliveries.c.id).limit(limit)
    )
    return list(session.execute(query).scalars())


def redrive(session: Session, ids: Collection[int]) -> int:
    """Have these sent anew under their old ids, from the first attempt on. What is pending already is left alone.

    So is what nobody would take: its endpoint is disabled, or deleted.
    """
    statement = (
        update(deliveries)
        .where(deliveries.c.id.in_(sorted(ids)), deliveries.c.state != PENDING, _has_a_taker())
        .values(state=PENDING, attempts=0, due_at=database_now(session), finished_at=None)
        .returning(deliveries.c.id)
    )
    return len(session.execute(statement).all())


def recover_page(session: Session, endpoint: Endpoint, window: Window, after: int, *, dry_run: bool) -> Recovered:
    """Give the endpoint what it asks for and has missed: nothing that it has, nothing that it is about to get."""
    columns = messages.c
    query = (
        select(messages)
        .where(columns.seq > after, columns.created_at >= window.since, columns.created_at < window.until)
        .order_by(columns.seq)
        .limit(PAGE)
    )
    page = session.execute(query).all()
    asked = filter_of(endpoint)
    meant = {row.seq: row for row in page if _meant(row, asked) and _meant(row, window.types)}
    standing = select(deliveries.c.message_seq, deliveries.c.id, deliveries.c.state).where(
        deliveries.c.endpoint_id == endpoint.id, deliveries.c.message_seq.in_(sorted(meant))
    )
    there = {row.message_seq: row for row in session.execute(standing)}
    missing = [row for seq, row in meant.items() if seq not in there]
    dead = [row.id for row in there.values() if row.state == DEAD]
    if not dry_run:
        redrive(session, dead)
        now = database_now(session)
        rows = [delivery_row(row.seq, endpoint.id, row.resource, now) for row in missing]
        insert_missing(session, deliveries, rows)
    states = Counter(row.state for row in there.values())
    counts = Counter(missing=len(missing), dead=len(dead), delivered=states[DELIVERED], pending=states[PENDING])
    return Recovered(page[-1].seq if len(page) == PAGE else None, counts)


def _has_a_taker() -> ColumnElement[bool]:
    takers = select(endpoints.c.id).where(endpoints.c.state.in_((ENABLED, PAUSED)))
    return deliveries.c.endpoint_id.in_(takers)


def _meant(row: Row[Any], chosen: EndpointFilter) -> bool:
    return chosen.lets_through(Facts(row.type, row.customer, row.usecase, row.batch_id, row.batch_label))


def _with_message() -> Any:
    return select(Delivery, WebhookMessage).join_from(
        Delivery, WebhookMessage, col(WebhookMessage.seq) == col(Delivery.message_seq)
    )
