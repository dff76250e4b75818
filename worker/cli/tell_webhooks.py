"""A message's story for people."""

import json

from schemas.ids import format_job_id
from worker.cli.output import Output
from worker.cli.tell import head, part
from worker.store.explaining_webhooks import MessageStory
from worker.telling.cells import cell
from worker.telling.words_webhooks import delivery_words, try_words


def tell_message(story: MessageStory, output: Output) -> None:
    message = story.message
    about = f" about {message.resource}" if message.resource else ""
    head(output, f"Message {message.id}", f"{message.type}{about}, of {cell(message.created_at)}")
    part(output, "It says", [json.dumps(json.loads(message.body)["data"], ensure_ascii=False)])
    for one in story.deliveries:
        part(output, delivery_words(one), map(try_words, one.attempts), none="not tried yet")
    if not story.deliveries:
        part(output, "Deliveries", [], none="none: each endpoint that asks for it was disabled")
    if message.job_id is not None:
        part(output, "Where it comes from", [f"coachsync explain {format_job_id(message.job_id)}"])
