"""What the outside world was told of a job or a batch, and how that went."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from schemas.webhooks import EventType
from worker.store.tables import messages
from worker.store.webhook_models import Delivery, DeliveryAttempt, Endpoint, WebhookMessage


@dataclass(frozen=True, slots=True)
class DeliveryStory:
    delivery: Delivery
    url: str
    attempts: Sequence[DeliveryAttempt]


@dataclass(frozen=True, slots=True)
class MessageStory:
    """One message, with its delivery to each endpoint that it was addressed to."""

    message: WebhookMessage
    deliveries: Sequence[DeliveryStory]


def told_of_job(session: Session, job_id: int) -> list[MessageStory]:
    return _stories(session, messages.c.job_id == job_id)


def told_of_batch(session: Session, batch_id: int) -> list[MessageStory]:
    """Of the batch itself, not of its jobs."""
    return _stories(session, messages.c.batch_id == batch_id, messages.c.type == EventType.BATCH_COMPLETED)


def message_story(session: Session, message_id: str) -> MessageStory | None:
    return next(iter(_stories(session, messages.c.id == message_id)), None)


def _stories(session: Session, *which: ColumnElement[bool]) -> list[MessageStory]:
    told = session.execute(select(WebhookMessage).where(*which).order_by(col(WebhookMessage.seq))).scalars().all()
    query = (
        select(Delivery, col(Endpoint.url))
        .join_from(Delivery, Endpoint, col(Endpoint.id) == col(Delivery.endpoint_id))
        .where(col(Delivery.message_seq).in_([one.seq for one in told]))
        .order_by(col(Delivery.id))
    )
    rows = session.execute(query).all()
    tried = _attempts(session, [row[0].id for row in rows])
    stories = [DeliveryStory(delivery, url, tried.get(delivery.id, ())) for delivery, url in rows]
    return [MessageStory(one, [story for story in stories if story.delivery.message_seq == one.seq]) for one in told]


def _attempts(session: Session, ids: Sequence[int]) -> dict[int, list[DeliveryAttempt]]:
    columns = col(DeliveryAttempt.delivery_id), col(DeliveryAttempt.id)
    found = session.execute(select(DeliveryAttempt).where(columns[0].in_(ids)).order_by(*columns)).scalars()
    return {delivery: list(some) for delivery, some in groupby(found, key=lambda one: one.delivery_id)}
