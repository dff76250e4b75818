"""What a task of a peer does with one update: send it, look at the answer, keep the outcome."""

import logging
from collections.abc import Mapping
from typing import Any

import httpx

from benchmarks.throughput.outcomes import AsyncOutcomes, Outcomes
from benchmarks.throughput.place import Place
from benchmarks.throughput.updates import Update

logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request is no part of the work
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100)


class Sender:
    """One a process, for all its threads."""

    def __init__(self, place: Place) -> None:
        self._http = httpx.Client(base_url=place.remote, limits=_LIMITS, timeout=20)
        self._outcomes = Outcomes(place.database)

    def send(self, given: Mapping[str, Any]) -> None:
        update = Update(**given)
        response = self._http.patch(update.path())
        check(update, response)
        self._outcomes.keep(update.name, update.target, response.status_code)


class AsyncSender:
    """One a process, for all its coroutines. Open it on their loop."""

    def __init__(self, place: Place) -> None:
        self._http = httpx.AsyncClient(base_url=place.remote, limits=_LIMITS, timeout=20)
        self._outcomes = AsyncOutcomes(place.database)

    async def open(self) -> None:
        await self._outcomes.open()

    async def send(self, given: Mapping[str, Any]) -> None:
        update = Update(**given)
        response = await self._http.patch(update.path())
        check(update, response)
        await self._outcomes.keep(update.name, update.target, response.status_code)

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._outcomes.aclose()


def check(update: Update, response: httpx.Response) -> None:
    """Raises for what is no success, and for an answer that is not the wish."""
    response.raise_for_status()
    found = response.json()["target"]
    assert (found["name"], found["target"]) == (update.name, update.target), found
