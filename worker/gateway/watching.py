"""``GET /v1/batches/{batch}/events``: how far a batch is, as server-sent events, until it has ended.

Each event holds the whole batch, so who comes back with ``Last-Event-ID`` has missed nothing: an event that they have
is not sent again, and of a batch that has ended 204 tells them to come no more. One look at the store serves all.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col
from starlette.responses import Response, StreamingResponse

from worker.core.access import Holder, Scope
from worker.gateway.answers import as_json
from worker.gateway.parameters import refuse_nul, refuse_unknown
from worker.gateway.problems import Problem
from worker.gateway.reading import seen_batch
from worker.gateway.services import Services
from worker.store.engine import Database, database_now
from worker.store.models import Batch
from worker.telling.records import batch_record, ended

LOOK_EVERY = 0.5  # seconds
HEARTBEAT = 15.0
COME_BACK_IN_MS = 2_000
MOST_WATCHED = 500  # batches by number in one look; more who watch are turned away
COMPLETED, PROGRESS = "completed", "progress"


@dataclass(frozen=True, slots=True)
class Seen:
    """A batch at a time, and an id that is another once anything of it has moved."""

    id: str
    event: str
    data: str

    @classmethod
    def of(cls, batch: Batch, now: datetime) -> "Seen":
        state = "done" if batch.completed_at else "sealed" if batch.sealed_at else "open"
        moved = f"{batch.rows}.{ended(batch)}.{batch.failed}.{state}"
        return cls(moved, COMPLETED if batch.completed_at else PROGRESS, as_json(batch_record(batch, now)))

    @property
    def text(self) -> str:
        return f"id: {self.id}\nevent: {self.event}\ndata: {self.data}\n\n"


@dataclass(slots=True)
class Watcher:
    """Looks while anybody watches. ``_seen`` holds the batches that are watched; ``_looked`` is set anew each time."""

    database: Database
    stopping: asyncio.Event
    _watched: dict[int, int] = field(default_factory=dict)
    _seen: dict[int, Seen] = field(default_factory=dict)
    _looked: asyncio.Event = field(default_factory=asyncio.Event)
    _looking: asyncio.Task[None] | None = None

    async def events(self, batch: int, last: str, may_go_on: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
        yield f"retry: {COME_BACK_IN_MS}\n\n"
        quiet = 0.0
        with self._watching(batch):
            while not self.stopping.is_set() and await may_go_on():
                seen = self._seen.get(batch)
                if seen and seen.id != last:
                    last, quiet = seen.id, 0.0
                    yield seen.text
                    if seen.event == COMPLETED:
                        return
                await self._looked.wait()
                quiet += LOOK_EVERY
                if quiet >= HEARTBEAT:
                    quiet = 0.0
                    yield ": still here\n\n"

    @property
    def is_full(self) -> bool:
        return len(self._watched) >= MOST_WATCHED

    @contextmanager
    def _watching(self, batch: int) -> Iterator[None]:
        self._watched[batch] = self._watched.get(batch, 0) + 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())
        try:
            yield
        finally:
            self._watched[batch] -= 1
            if not self._watched[batch]:
                del self._watched[batch]
                self._seen.pop(batch, None)

    async def _look(self) -> None:
        while self._watched and not self.stopping.is_set():
            with suppress(SQLAlchemyError):  # the database is away: who watches waits with it
                seen = await asyncio.to_thread(self._read, list(self._watched))
                self._seen = {batch: one for batch, one in seen.items() if batch in self._watched}
            self._tell()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), LOOK_EVERY)
        self._tell()

    def _tell(self) -> None:
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()

    def _read(self, ids: Collection[int]) -> dict[int, Seen]:
        with self.database.read() as session:
            found = session.execute(select(Batch).where(col(Batch.id).in_(ids))).scalars().all()
            now = database_now(session)
        return {batch.id: Seen.of(batch, now) for batch in found}


def watching_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["readers"])
    watcher = Watcher(services.database, services.stopping)

    async def admitted(request: Request) -> Holder:
        holder = await services.doorkeeper.admit(request.headers.get("authorization"), Scope.READ)
        refuse_nul(request)
        refuse_unknown(request.query_params, ())
        return holder

    @router.get("/batches/{batch}/events")
    async def batch_events(
        request: Request,
        batch: str,
        reader: Annotated[Holder, Depends(admitted)],
        last: Annotated[str, Header(alias="Last-Event-ID")] = "",
    ) -> Response:
        """How far a batch is, as server-sent events, until it has ended."""
        now = await asyncio.to_thread(_look_at, services, batch, reader)
        if now.event == COMPLETED and now.id == last:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        if watcher.is_full:
            words = "more batches are watched than can be; ask for the batch itself"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", words, headers={"Retry-After": "5"})
        may_go_on = partial(services.doorkeeper.still_admits, request.headers.get("authorization"), Scope.READ)
        return StreamingResponse(
            watcher.events(int(batch), last, may_go_on),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
        )

    return router


def _look_at(services: Services, batch: str, reader: Holder) -> Seen:
    with services.database.read() as session:
        return Seen.of(seen_batch(session, batch, reader), database_now(session))
