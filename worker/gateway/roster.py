"""``POST /v1/roster-events``: who joined, left and moved, told by who has a token, or by a source that signs."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.names import customer_of
from worker.core.access import Scope
from worker.core.guard import GuardTripped
from worker.counts import counted
from worker.gateway.answers import answer, as_json
from worker.gateway.bodies import media_type, whole
from worker.gateway.cloudevents import Given, events_of, refused
from worker.gateway.idempotency import InFlight, fingerprint, held, key_of, replay
from worker.gateway.parameters import refuse_unknown
from worker.gateway.problems import Problem
from worker.gateway.services import Services
from worker.gateway.signatures import Source, sources_of
from worker.gateway.taking import guard_tripped
from worker.intake.roster_events import EventsRefused, Submission, accept_events
from worker.intake.roster_folding import Event
from worker.log import get_logger
from worker.store import kept_answers
from worker.store.kept_answers import Answered, RequestKey
from worker.telling.roster_records import receipt_record
from worker.webhooks.signing import NotVerified

DOOR = "gateway"
_log = get_logger(__name__)


@dataclass(slots=True)
class RosterDoor:
    """Events are taken all together or not at all, each once."""

    services: Services
    sources: dict[str, Source] = field(init=False)
    in_flight: InFlight = field(default_factory=InFlight)

    def __post_init__(self) -> None:
        self.sources = sources_of(self.services.settings)

    async def of_holder(self, request: Request) -> Response:
        """The walk of a request with a token. Raises ``Problem``."""
        holder = await self.services.doorkeeper.admit(request.headers.get("authorization"), Scope.ROSTER_WRITE)
        refuse_unknown(request.query_params, ())
        key, kind = key_of(request, holder), media_type(request.headers)
        body = await whole(request, self.services.settings.gateway.json_bytes)
        print_ = fingerprint(request, hashlib.sha256(body).hexdigest())
        with self.in_flight.only(key):
            async with held(self.services.database, key, print_) as kept:
                if kept:
                    return replay(kept, print_)
                given = events_of(kind, request.headers, body)
                _refuse_others(given, holder.customers, holder.name)
                submission = Submission(given.events, DOOR, _subject(given, holder.name))
                return await asyncio.to_thread(self._take, given, submission, (key, print_) if key else None)

    async def of_source(self, request: Request, name: str) -> Response:
        """The walk of a request that is signed. Nobody waits there for a person: what the guard stops is held."""
        body = await whole(request, self.services.settings.gateway.json_bytes)
        source = self._verified(request, name, body)
        given = events_of(media_type(request.headers), request.headers, body)
        _refuse_others(given, source.customers, name)
        submission = Submission(given.events, f"{DOOR}:{name}", _subject(given, name), hold=True)
        return await asyncio.to_thread(self._take, given, submission, None)

    def _verified(self, request: Request, name: str, body: bytes) -> Source:
        """A source that there is not is answered as one whose signature does not fit."""
        if (source := self.sources.get(name)) is None:
            raise _nobody("the signature does not fit: another secret, or no source of this name")
        try:
            source.verifier.verify(request.headers, body, self.services.now().timestamp())
        except NotVerified as error:
            _log.warning("roster_source_not_verified", source=name, reason=str(error))
            raise _nobody(str(error)) from None
        return source

    def _take(self, given: Given, submission: Submission, key: tuple[RequestKey, str] | None) -> Response:
        database, guard = self.services.database, self.services.settings.guard
        try:
            receipt = accept_events(database, submission, guard)
        except EventsRefused as events:
            raise refused(given.mode, events) from events
        except GuardTripped as error:
            raise guard_tripped(error) from error
        record: dict[str, Any] = receipt_record(receipt) | {"held": receipt.held, "approval": receipt.approval_id}
        if key:
            with database.write() as session:
                kept_answers.end(session, key[0], Answered(key[1], HTTPStatus.ACCEPTED, as_json(record)))
        return answer(record, HTTPStatus.ACCEPTED)


def roster_routes(door: RosterDoor) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["sources of the roster"])

    @router.post("/roster-events", status_code=202)
    async def post_roster_events(request: Request) -> Response:
        """Tell who joined, left and moved: CloudEvents, structured, in a batch or binary; all are taken, or none."""
        return await door.of_holder(request)

    @router.post("/roster-events/{source}", status_code=202)
    async def post_signed_roster_events(source: str, request: Request) -> Response:
        """The same from a source that signs what it posts, and needs no token."""
        return await door.of_source(request, source)

    return router


def _nobody(words: str) -> Problem:
    challenge = {"WWW-Authenticate": 'Signature realm="coachsync"'}
    return Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", words, headers=challenge)


def _refuse_others(given: Given, customers: frozenset[str], name: str) -> None:
    """Raises ``Problem`` where an event is about somebody else's people."""
    others = {customer for event in given.events if (customer := _customer(event)) not in customers}
    if customers and others:
        words = f"{name} may not speak of customers/{min(others)}; nothing was written"
        raise Problem(HTTPStatus.FORBIDDEN, "another-customers", words)


def _customer(event: Event) -> str:
    return customer_of(event.data.profile)


def _subject(given: Given, name: str) -> str:
    return f"{counted(len(given.events), 'event')} of the roster from {name}, by HTTP"
