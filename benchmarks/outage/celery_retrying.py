"""Plain Celery that tries again by itself, as its documentation shows: backoff, jitter, no end."""

from functools import cache
from typing import Any

import httpx
from celery import Celery
from celery.signals import worker_ready

from benchmarks.throughput.outcomes import Outcomes
from benchmarks.throughput.place import READY, Place
from benchmarks.throughput.updates import Update

app = Celery("retrying", broker=Place.from_environment().broker)
app.conf.update(task_acks_late=True, task_ignore_result=True)


@worker_ready.connect
def _tell(**_: object) -> None:
    print(READY, flush=True)


@cache
def sender() -> tuple[httpx.Client, Outcomes]:
    place = Place.from_environment()
    return httpx.Client(base_url=place.remote), Outcomes(place.database)


@app.task(
    autoretry_for=(httpx.HTTPError,),
    retry_backoff=True,
    retry_backoff_max=60,
    max_retries=None,
)
def send(given: dict[str, Any]) -> None:
    update = Update(**given)
    http, outcomes = sender()
    response = http.patch(update.path())
    response.raise_for_status()
    outcomes.keep(update.name, update.target, response.status_code)
