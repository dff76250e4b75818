"""Who is told, and how each message went."""

import json
from enum import StrEnum

from sqlmodel import Session

from schemas.ids import format_job_id
from schemas.webhooks import EventType
from worker.console.desk import PAGE, Desk, NotThere, Page
from worker.store import endpoints, redriving
from worker.store.explaining_webhooks import message_story
from worker.store.outbox import DEAD, DELIVERED, PENDING
from worker.store.redriving import DeliveryFilter
from worker.store.webhook_models import Delivery, Endpoint, WebhookMessage
from worker.telling.webhook_records import (
    attempt_record,
    delivery_record,
    endpoint_record,
    endpoint_records,
    endpoint_row,
)
from worker.telling.words_webhooks import message_record


class DeliveryState(StrEnum):
    PENDING = PENDING
    DELIVERED = DELIVERED
    DEAD = DEAD


def list_endpoints(desk: Desk, session: Session) -> Page:
    seen = [one for one in endpoints.list_all(session) if _sees(desk, one)]
    rows = [endpoint_row(record) for record in endpoint_records(session, seen)]
    return Page("endpoints.html", "Webhooks", {"endpoints": rows})


def show_endpoint(desk: Desk, session: Session) -> Page:
    endpoint = endpoint_seen(desk, session, desk.path["endpoint"])
    found = redriving.list_deliveries(session, DeliveryFilter(endpoint=endpoint.id), PAGE)
    record = endpoint_record(session, endpoint)
    facts = {
        "endpoint": endpoint_row(record),
        "secrets": record["secrets"],
        "deliveries": [delivery_record(*one) for one in found],
    }
    return Page("endpoint.html", f"Endpoint {endpoint.id}", facts)


def list_deliveries(desk: Desk, session: Session) -> Page:
    endpoint = desk.asked("endpoint")
    if endpoint is None:
        desk.sees_all_or_nothing("Deliveries of all endpoints")
    else:
        endpoint_seen(desk, session, endpoint)
    chosen = DeliveryFilter(
        endpoint=endpoint,
        state=desk.one_of("state", DeliveryState),
        type=desk.one_of("type", EventType),
        job=desk.job("job"),
        batch=desk.batch("batch"),
    )
    found = redriving.list_deliveries(session, chosen, PAGE, desk.number("before"))
    facts = {
        "deliveries": [delivery_record(*one) for one in found],
        "older": found[-1][0].id if len(found) == PAGE else None,
        "states": list(DeliveryState),
        "types": [str(one) for one in EventType],
        "endpoints": [one.id for one in endpoints.list_all(session) if _sees(desk, one)],
        "asked": desk.query,
    }
    return Page("deliveries.html", "Deliveries", facts)


def show_delivery(desk: Desk, session: Session) -> Page:
    delivery, message = delivery_seen(desk, session, desk.number_in_path("delivery"))
    facts = {
        "delivery": delivery_record(delivery, message),
        "attempts": [attempt_record(one) for one in redriving.attempts_of(session, delivery.id)],
        "body": _pretty(message.body),
    }
    return Page("delivery.html", f"Delivery {delivery.id}", facts)


def show_message(desk: Desk, session: Session) -> Page:
    desk.sees_all_or_nothing("Messages")
    story = message_story(session, desk.path["message"])
    if story is None:
        raise NotThere(f"There is no message {desk.path['message'][:80]!r}.")
    about = story.message
    facts = {
        "message": message_record(story),
        "about": about.resource,
        "job": format_job_id(about.job_id) if about.job_id is not None else None,
        "batch": about.batch_id,
        "body": _pretty(about.body),
    }
    return Page("message.html", about.type, facts)


def endpoint_seen(desk: Desk, session: Session, name: str) -> Endpoint:
    found = endpoints.find(session, name)
    if found is None or not _sees(desk, found):
        raise NotThere(f"There is no endpoint {name[:60]!r}.")
    return found


def delivery_seen(desk: Desk, session: Session, number: int) -> tuple[Delivery, WebhookMessage]:
    found = redriving.find_delivery(session, number)
    if found is None:
        raise NotThere(f"There is no delivery {number}.")
    if not desk.viewer.sees_all:
        endpoint_seen(desk, session, found[0].endpoint_id)
    return found


def _sees(desk: Desk, endpoint: Endpoint) -> bool:
    return desk.viewer.sees_each(json.loads(endpoint.customers))


def _pretty(body: str) -> str:
    return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
