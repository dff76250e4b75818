"""Celery's own ``rate_limit``: it counts in each worker for itself."""

import os
from functools import cache

import httpx
from celery import Celery
from celery.signals import worker_ready

from benchmarks.throughput.place import READY, Place

app = Celery("limited", broker=Place.from_environment().broker)
app.conf.update(task_acks_late=True, task_ignore_result=True)


@worker_ready.connect
def _tell(**_: object) -> None:
    print(READY, flush=True)


@cache
def http() -> httpx.Client:
    return httpx.Client(base_url=Place.from_environment().remote)


@app.task(rate_limit=os.environ["BENCH_CELERY_RATE"])  # noqa: TID251 - its only reader
def send(path: str) -> None:
    http().patch(path).raise_for_status()
