"""Celery: a message a row in the broker's memory; it is there until the broker loses it."""

from pathlib import Path

from redis import Redis

from benchmarks.enqueue.door import Door, update_pages
from benchmarks.throughput.place import Place
from benchmarks.throughput.tasks import celery_tasks


def door() -> Door:
    client = Redis.from_url(Place.from_environment().broker)

    def take(file: Path) -> None:
        for page in update_pages(file):
            celery_tasks.hand_in(page)

    return Door(
        take,
        lambda: int(client.llen("celery")),
    )
