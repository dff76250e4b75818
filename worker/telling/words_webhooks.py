"""What was told to the outside world, in sentences."""

from collections.abc import Iterable, Iterator

from worker.counts import counted
from worker.store.explaining_webhooks import DeliveryStory, MessageStory
from worker.store.outbox import DEAD, DELIVERED
from worker.store.webhook_models import DeliveryAttempt
from worker.telling.cells import cell
from worker.telling.records import Fields
from worker.telling.webhook_records import attempt_record, delivery_record


def told_words(stories: Iterable[MessageStory]) -> Iterator[str]:
    for story in stories:
        yield f"{story.message.type} as {story.message.id}"
        for delivery in story.deliveries:
            yield f"  {delivery_words(delivery)}"
        if not story.deliveries:
            yield "  addressed to nobody: each endpoint that asks for it was disabled"


def delivery_words(story: DeliveryStory) -> str:
    """``to ep_… (https://…), delivery 17: delivered at …, after 1 attempt``."""
    delivery = story.delivery
    tries = counted(len(story.attempts), "attempt")
    match delivery.state:
        case state if state == DELIVERED:
            became = f"delivered at {cell(delivery.finished_at)}, after {tries}"
        case state if state == DEAD:
            became = f"set aside after {tries}: {delivery.error}"
        case _ if story.attempts:
            became = f"tried again at {cell(delivery.due_at)}, after {tries}; the last: {delivery.error}"
        case _:
            became = "not tried yet"
    return f"to {delivery.endpoint_id} ({story.url}), delivery {delivery.id}: {became}"


def try_words(attempt: DeliveryAttempt) -> str:
    status = f"HTTP {attempt.status}" if attempt.status else attempt.error
    return f"{cell(attempt.started_at)}: {status} after {attempt.latency_ms:,.0f} ms ({attempt.sender})"


def message_record(story: MessageStory) -> Fields:
    return {
        "messageId": story.message.id,
        "type": story.message.type,
        "createdAt": story.message.created_at,
        "deliveries": [
            delivery_record(one.delivery, story.message)
            | {"url": one.url, "tries": [attempt_record(attempt) for attempt in one.attempts]}
            for one in story.deliveries
        ],
    }
