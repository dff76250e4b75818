"""``Idempotency-Key``: the same request again gets the same answer, and is done once.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from worker.core.access import Holder
from worker.gateway.answers import of_kept
from worker.gateway.problems import Problem
from worker.store.kept_answers import Answered, RequestKey

HEADER = "idempotency-key"
_STRING = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')  # RFC 9651, a String
_BARE = re.compile(r"[\x21-\x7e]+")
_LONGEST = 255


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
    """Raises ``Problem`` where the key was used for something else."""
    if kept.fingerprint != asked_now:
        raise key_reused(
            "this Idempotency-Key was used before with another request; give each request a key of its own"
        )
    return of_kept(kept, replayed=True)


def key_reused(words: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", words)


@dataclass(slots=True)
class InFlight:
    """The keys whose requests this process is at work on."""

    _keys: set[RequestKey] = field(default_factory=set)

    @contextmanager
    def only(self, asked: RequestKey | None) -> Iterator[None]:
        """Raises ``Problem`` while the same key is at work."""
        if asked is None:
            yield
            return
        if asked in self._keys:
            words = "a request with this Idempotency-Key is being worked on; ask again for its answer"
            raise Problem(HTTPStatus.CONFLICT, "request-in-flight", words, headers={"Retry-After": "1"})
        self._keys.add(asked)
        try:
            yield
        finally:
            self._keys.discard(asked)


def _parsed(given: str) -> str:
    if string := _STRING.fullmatch(given):
        return re.sub(r"\\(.)", r"\1", string[1])
    return given if _BARE.fullmatch(given) and '"' not in given else ""
