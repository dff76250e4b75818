"""``Idempotency-Key``: the same request again gets the same answer, and is done once.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response

from worker.core.access import Holder
from worker.gateway.answers import of_kept
from worker.gateway.problems import Problem
from worker.store import kept_answers
from worker.store.engine import Database
from worker.store.kept_answers import Answered, RequestKey

HEADER = "idempotency-key"
_STRING = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')  # RFC 9651, a String
_BARE = re.compile(r"[\x21-\x7e]+")
_LONGEST = 255
_SAYS_SO_EVERY = kept_answers.HEARD_WITHIN / 3


def key_of(request: Request, holder: Holder) -> RequestKey | None:
    """As the draft has it, in double quotes; bare, as most clients send it, it means the same. Raises ``Problem``."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    key = _parsed(given[0].strip()) if len(given) == 1 else ""
    if not 0 < len(key) <= _LONGEST:
        words = f"Idempotency-Key has to be given once, with 1 to {_LONGEST} printable ASCII characters"
        raise Problem(HTTPStatus.BAD_REQUEST, "bad-idempotency-key", words)
    return RequestKey(holder.token_id, key)


def fingerprint(request: Request, digest: str) -> str:
    """Of all that was asked: two requests with one key have to ask for the same."""
    asked = (request.method, request.url.path, request.url.query, request.headers.get("content-type", ""), digest)
    return hashlib.sha256("\n".join(asked).encode(errors="surrogateescape")).hexdigest()


def request_key(asked: RequestKey) -> str:
    """The same for the intake, which knows what it has accepted even where the answer was lost."""
    return f"http-{hashlib.sha256(f'{asked.token_id} {asked.key}'.encode()).hexdigest()[:40]}"


def replay(kept: Answered, asked_now: str) -> Response:
    """Raises ``Problem`` where the key was used for something else, or is held by a request that is worked on."""
    if kept.fingerprint != asked_now:
        raise key_reused(
            "this Idempotency-Key was used before with another request; give each request a key of its own"
        )
    if kept.status == kept_answers.AT_WORK:
        raise _in_flight()
    return of_kept(kept, replayed=True)


def key_reused(words: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", words)


@asynccontextmanager
async def held(database: Database, asked: RequestKey | None, print_: str) -> AsyncIterator[Answered | None]:
    """The key is this request's alone, in all gateways; or what there is to answer instead.

    Whoever does what was asked ends it with the answer; where that comes to nothing, it is free again.
    """
    if asked is None:
        yield None
        return
    meanwhile = Answered(print_, kept_answers.AT_WORK, json.dumps(_in_flight().body))
    if kept := await asyncio.to_thread(_begin, database, asked, meanwhile):
        yield kept
        return
    going_on = asyncio.create_task(_go_on(database, asked))
    try:
        yield None
    except BaseException:
        with suppress(SQLAlchemyError):  # then others wait until it was not heard of for long enough
            await asyncio.to_thread(_let_go, database, asked)
        raise
    finally:
        going_on.cancel()


def _begin(database: Database, asked: RequestKey, meanwhile: Answered) -> Answered | None:
    with database.write() as session:
        return kept_answers.begin(session, asked, meanwhile)


async def _go_on(database: Database, asked: RequestKey) -> None:
    while True:
        await asyncio.sleep(_SAYS_SO_EVERY.total_seconds())
        with suppress(SQLAlchemyError):
            await asyncio.to_thread(_say_so, database, asked)


def _say_so(database: Database, asked: RequestKey) -> None:
    with database.write() as session:
        kept_answers.go_on(session, asked)


def _let_go(database: Database, asked: RequestKey) -> None:
    with database.write() as session:
        kept_answers.end(session, asked, None)


@dataclass(slots=True)
class InFlight:
    """The keys whose requests this process reads or is at work on: it need not ask the store."""

    _keys: set[RequestKey] = field(default_factory=set)

    @contextmanager
    def only(self, asked: RequestKey | None) -> Iterator[None]:
        """Raises ``Problem`` while the same key is at work."""
        if asked is None:
            yield
            return
        if asked in self._keys:
            raise _in_flight()
        self._keys.add(asked)
        try:
            yield
        finally:
            self._keys.discard(asked)


def _in_flight() -> Problem:
    words = "a request with this Idempotency-Key is being worked on; ask again for its answer"
    return Problem(HTTPStatus.CONFLICT, "request-in-flight", words, headers={"Retry-After": "1"})


def _parsed(given: str) -> str:
    if string := _STRING.fullmatch(given):
        return re.sub(r"\\(.)", r"\1", string[1])
    return given if _BARE.fullmatch(given) and '"' not in given else ""
