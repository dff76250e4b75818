"""The tables of the webhooks: who is told, what there was to tell, and how each delivery went."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Float, Index, UniqueConstraint, false, text
from sqlmodel import Field, SQLModel

from worker.store.columns import big, index_where, instant, serial, words


class Endpoint(SQLModel, table=True):
    """Who is told. The filters are JSON arrays; an empty one lets everything through.

    ``state``: enabled, paused (by a person: its deliveries wait), disabled (by its own answers: nothing new is
    addressed to it), deleted (kept for the story of its deliveries). ``failures`` in a run since ``failing_since``;
    nothing is sent before ``held_until``. ``warned``: the percentage of patience that was last told of.
    ``disabled_at`` stays until a message is taken again.

    One process at a time sends to it: ``owner``, until ``owner_until``, under ``fence``.
    """

    __tablename__ = "webhook_endpoints"

    id: str = Field(primary_key=True)
    url: str = words()
    description: str | None = words(nullable=True)
    types: str = words()
    customers: str = words()
    usecases: str = words()
    batches: str = words()
    ordered: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    rate_limit: int | None = None
    concurrency: int
    state: str
    created_at: datetime = instant(nullable=False)
    failures: int = 0
    failing_since: datetime | None = instant()
    warned: int = 0
    held_until: datetime | None = instant()
    disabled_at: datetime | None = instant()
    disabled_reason: str | None = words(nullable=True)
    owner: str | None = None
    owner_until: datetime | None = instant()
    fence: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})


class EndpointSecret(SQLModel, table=True):
    """A key that signs, encrypted. ``retires_at``: until then it signs beside the one that has replaced it."""

    __tablename__ = "webhook_secrets"

    id: int = serial()
    endpoint_id: str = Field(index=True)
    kind: str
    sealed: str = words()
    created_at: datetime = instant(nullable=False)
    retires_at: datetime | None = instant()


class WebhookMessage(SQLModel, table=True):
    """What there was to tell: written in the transaction in which it happened, once. ``id`` is the ``webhook-id``.

    ``resource`` is what deliveries are ordered by, where an endpoint asks for it.
    """

    __tablename__ = "webhook_messages"
    __table_args__ = (
        Index("webhook_messages_created", "created_at"),
        index_where("webhook_messages_job", "job_id", where="job_id IS NOT NULL"),
        index_where("webhook_messages_batch", "batch_id", where="batch_id IS NOT NULL"),
    )

    seq: int = serial()
    id: str = Field(unique=True)
    type: str
    created_at: datetime = instant(nullable=False)
    customer: str | None = None
    usecase: str | None = None
    batch_id: int | None = big(nullable=True)
    batch_label: str | None = None
    job_id: int | None = big(nullable=True)
    resource: str | None = None
    traceparent: str | None = None
    body: str = words()


class Delivery(SQLModel, table=True):
    """One message for one endpoint. ``state``: pending, delivered, dead (set aside, ``error`` says why).

    ``status`` and ``error`` are the last attempt's. ``attempts`` counts since the last redrive.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("message_seq", "endpoint_id", name="webhook_deliveries_once"),
        index_where("webhook_deliveries_due", "endpoint_id", "due_at", "id", where="state = 'pending'"),
        index_where("webhook_deliveries_order", "endpoint_id", "resource", "message_seq", where="state = 'pending'"),
        index_where("webhook_deliveries_dead", "endpoint_id", "id", where="state = 'dead'"),
    )

    id: int = serial()
    message_seq: int = Field(sa_column=Column(BigInteger, nullable=False), default=None)
    endpoint_id: str
    resource: str | None = None
    state: str
    due_at: datetime = instant(nullable=False)
    attempts: int = 0
    status: int | None = None
    error: str | None = words(nullable=True)
    created_at: datetime = instant(nullable=False)
    finished_at: datetime | None = instant()


class DeliveryAttempt(SQLModel, table=True):
    """One request to an endpoint. ``body``: the first of its answer, for the operator."""

    __tablename__ = "webhook_attempts"

    id: int = serial()
    delivery_id: int = Field(sa_column=Column(BigInteger, nullable=False, index=True), default=None)
    started_at: datetime = instant(nullable=False)
    latency_ms: float = Field(sa_type=Float)
    status: int | None = None
    error: str | None = words(nullable=True)
    body: str | None = words(nullable=True)
    sender: str
