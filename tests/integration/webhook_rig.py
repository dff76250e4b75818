"""What the tests of the webhooks share: endpoints, what was told to them, and things that happen."""

import itertools
import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import func, select, update
from sqlmodel import col

from worker.core.endpoint_filter import EndpointFilter
from worker.core.events import Event, of_quarantine
from worker.store import endpoints, outbox
from worker.store.endpoints import NewEndpoint
from worker.store.engine import Database
from worker.store.tables import deliveries
from worker.store.tables import endpoints as endpoint_table
from worker.store.webhook_models import Delivery, DeliveryAttempt, Endpoint, WebhookMessage
from worker.webhooks import signing
from worker.webhooks.sealing import Sealer

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SECRET = signing.new_secret("v1", lambda count: b"s" * count)
SEALER = Sealer(SecretStr("a key of the tests"))
_HAPPENINGS = itertools.count(1)


def make_endpoint(
    store: Database,
    name: str = "ep_1",
    url: str = "https://example.com/",
    *,
    asks: EndpointFilter | None = None,
    **said: Any,
) -> str:
    """An endpoint that is told everything, unless it ``asks`` for less."""
    defaults: dict[str, Any] = {"description": None, "ordered": False, "rate_limit": None, "concurrency": 10}
    new = NewEndpoint(
        id=name, url=url, filter=asks or EndpointFilter(), kind="v1", sealed=SEALER.seal(SECRET), **(defaults | said)
    )
    with store.write() as session:
        endpoints.create(session, new)
    return name


def endpoint(store: Database, name: str = "ep_1") -> Endpoint:
    with store.read() as session:
        return session.get_one(Endpoint, name)


def set_endpoint(store: Database, name: str = "ep_1", **values: Any) -> None:
    """Write the state that time, a person or a crash leaves."""
    with store.write() as session:
        session.execute(update(endpoint_table).where(endpoint_table.c.id == name).values(**values))


def messages(store: Database) -> list[WebhookMessage]:
    with store.read() as session:
        return list(session.execute(select(WebhookMessage).order_by(col(WebhookMessage.seq))).scalars())


def bodies(store: Database) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in messages(store)]


def types(store: Database) -> list[str]:
    return [one.type for one in messages(store)]


def deliveries_of(store: Database, name: str | None = None) -> list[Delivery]:
    """In the order in which they were made."""
    query = select(Delivery).order_by(col(Delivery.id))
    with store.read() as session:
        return list(session.execute(query.where(col(Delivery.endpoint_id) == name) if name else query).scalars())


def states(store: Database, name: str | None = None) -> list[str]:
    return [one.state for one in deliveries_of(store, name)]


def attempts_of(store: Database) -> list[DeliveryAttempt]:
    with store.read() as session:
        return list(session.execute(select(DeliveryAttempt).order_by(col(DeliveryAttempt.id))).scalars())


def left(store: Database) -> int:
    """How many deliveries are still to be made."""
    with store.read() as session:
        query = select(func.count()).select_from(deliveries).where(deliveries.c.state == outbox.PENDING)
        return int(session.execute(query).scalar_one())


def make_due(store: Database, ids: Collection[int] | None = None) -> None:
    """Every wait of what is pending is over."""
    statement = update(deliveries).where(deliveries.c.state == outbox.PENDING).values(due_at=LONG_AGO)
    with store.write() as session:
        session.execute(statement if ids is None else statement.where(deliveries.c.id.in_(ids)))


def happening(resource: object = None) -> Event:
    """Something that has not happened before; about ``resource``, where one is named."""
    event = of_quarantine(f"remote-{next(_HAPPENINGS)}", "down", LONG_AGO)
    return Event(event.type, event.key, event.data, resource=None if resource is None else str(resource))


def tell(store: Database, *events: Event) -> None:
    with store.write() as session:
        outbox.tell(session, events)


def tell_some(store: Database, count: int) -> list[int]:
    """So many happenings; returns the new deliveries."""
    before = {one.id for one in deliveries_of(store)}
    tell(store, *(happening(number) for number in range(count)))
    return [one.id for one in deliveries_of(store) if one.id not in before]
