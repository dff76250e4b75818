"""``POST /v1/target-updates`` and ``/v1/quota-recalculations``: one wish, an array of them, or a file's worth."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import IO, Any

from starlette.requests import Request
from starlette.responses import Response

from schemas.jobs import JobKind, QuotaRecalculation, TargetUpdate
from worker.core.access import Holder, Scope
from worker.gateway.answers import answer, as_json, of_kept
from worker.gateway.backlog import Backlog
from worker.gateway.bodies import media_type, spooled, unsupported, whole
from worker.gateway.idempotency import InFlight, fingerprint, held, key_of, replay, request_key
from worker.gateway.parameters import Wanted, refuse_nul
from worker.gateway.problems import Problem
from worker.gateway.row_problems import Above
from worker.gateway.services import Services
from worker.gateway.singles import Single, Singles, invalid
from worker.gateway.taking import Many, not_theirs, take_many, with_key
from worker.intake.format import Format
from worker.intake.json_text import BrokenJson, parse_json
from worker.intake.readers import BadRow, Row, read_objects, read_wishes
from worker.intake.source import StreamSource
from worker.store import kept_answers
from worker.store.batches import NewBatch
from worker.store.kept_answers import Answered, RequestKey
from worker.tracing.spans import HEADER, headers

JSON = "application/json"
FILES = {
    "application/jsonl": Format.JSONL,
    "application/x-ndjson": Format.JSONL,
    "text/csv": Format.CSV,
    "text/tab-separated-values": Format.TSV,
}
TAKEN = (JSON, *FILES)
AT_ONCE = 4  # requests of many rows; the next wait
SCOPES = {JobKind.TARGET_UPDATE: Scope.TARGETS_WRITE, JobKind.QUOTA_RECALCULATION: Scope.QUOTAS_WRITE}
MEMBERS = {JobKind.TARGET_UPDATE: "updates", JobKind.QUOTA_RECALCULATION: "recalculations"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose holder is known."""

    request: Request
    holder: Holder
    kind: JobKind
    wanted: Wanted
    key: RequestKey | None

    @property
    def new(self) -> NewBatch:
        return NewBatch(self.holder.source, self.wanted.lane, self.wanted.label)


@dataclass(slots=True)
class UpdateDoor:
    """What the routes share."""

    services: Services
    singles: Singles = field(init=False)
    backlog: Backlog = field(init=False)
    in_flight: InFlight = field(default_factory=InFlight)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "takers"))

    def __post_init__(self) -> None:
        settings, database = self.services.settings, self.services.database
        self.singles = Singles(database, settings.remote_for)
        self.backlog = Backlog(database, settings.gateway.backlog, self.services.monotonic)

    async def take(self, request: Request, kind: JobKind, wanted: Callable[[Request], Wanted]) -> Response:
        """The walk of one request. Raises ``Problem``."""
        holder = await self._admit(request, kind)
        refuse_nul(request)
        content = media_type(request.headers)
        asked = Asked(request, holder, kind, wanted(request), key_of(request, holder))
        await self.backlog.check()
        with self.in_flight.only(asked.key):
            if content == JSON:
                return await self._json(asked)
            if content in FILES:
                return await self._file(asked, FILES[content])
        raise unsupported(content, TAKEN)

    async def _admit(self, request: Request, kind: JobKind) -> Holder:
        return await self.services.doorkeeper.admit(request.headers.get("authorization"), SCOPES[kind])

    async def _json(self, asked: Asked) -> Response:
        body = await whole(asked.request, self.services.settings.gateway.json_bytes)
        given, digest = parsed(body), hashlib.sha256(body).hexdigest()
        member = MEMBERS[asked.kind]
        if isinstance(given, dict) and member not in given:
            return await self._single(asked, given, digest)
        rows, above = _rows_of(given, member)
        if not rows:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable-body", "the body holds no rows")
        read = partial(read_objects, rows, asked.kind)
        return await self._many(asked, read, digest, lambda row: f"{above}/{row - 1}")

    async def _single(self, asked: Asked, given: dict[str, Any], digest: str) -> Response:
        (row,) = read_objects([given], asked.kind)
        if isinstance(row, BadRow):
            raise invalid(row.errors)
        if not asked.holder.owns(row.wish.resource):
            raise forbidden(asked.holder, row.wish.resource)
        if not self.services.settings.guard.floor:  # then even one change may have to be asked for
            return await self._many(asked, partial(read_objects, [given], asked.kind), digest, lambda _: "")
        assert isinstance(row.wish, TargetUpdate | QuotaRecalculation)  # noqa: S101 - the kinds that are read
        print_ = fingerprint(asked.request, digest) if asked.key else ""
        traceparent = headers().get(HEADER)
        single = Single(row.wish, asked.new, asked.wanted.forced, asked.key, print_, traceparent)
        taken = await self.singles.take(single)
        if taken.replayed:
            return replay(taken.answered, print_)
        return of_kept(taken.answered, replayed=False)

    async def _file(self, asked: Asked, form: Format) -> Response:
        async with AsyncExitStack() as stack:
            body = await stack.enter_async_context(spooled(asked.request, self.services.settings.gateway.file_bytes))
            await self._admit(asked.request, asked.kind)  # it may have been on its way for hours
            read = partial(_read_file, body.file, form, asked.kind)
            return await self._many(asked, read, body.digest, None)

    async def _many(
        self, asked: Asked, read: Callable[[], Iterator[Row]], digest: str, above: Above | None
    ) -> Response:
        many = Many(
            asked.holder,
            asked.kind,
            with_key(asked.new, request_key(asked.key) if asked.key else None),
            read,
            digest,
            above,
            asked.wanted.strict,
            asked.wanted.forced,
        )
        print_, loop = fingerprint(asked.request, digest), asyncio.get_running_loop()
        async with held(self.services.database, asked.key, print_) as kept:
            if kept:
                return replay(kept, print_)
            return await loop.run_in_executor(self._threads, self._take_many, asked, many, print_)

    def _take_many(self, asked: Asked, many: Many, print_: str) -> Response:
        receipt = take_many(self.services.database, self.services.settings, many, self.services.now())
        location = f"/v1/batches/{receipt['batch']}"
        if asked.key:
            answered = Answered(print_, HTTPStatus.ACCEPTED, as_json(receipt), location)
            with self.services.database.write() as session:
                kept_answers.end(session, asked.key, answered)
        return answer(receipt, HTTPStatus.ACCEPTED, {"Location": location})


def parsed(body: bytes) -> object:
    """Raises ``Problem``."""
    try:
        return parse_json(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        words = f"not UTF-8 at byte {error.start + 1}"
    except BrokenJson as broken:
        words = str(broken)
    raise Problem(HTTPStatus.BAD_REQUEST, "malformed-json", words)


def forbidden(holder: Holder, name: str) -> Problem:
    error = not_theirs(holder, name)
    return Problem(HTTPStatus.FORBIDDEN, "another-customers", f"{error.value}: {error.reason}")


def _rows_of(given: object, member: str) -> tuple[list[Any], str]:
    """The rows, and the pointer of what holds them."""
    if isinstance(given, list):
        return given, ""
    if isinstance(given, dict):
        others = sorted(given.keys() - {member})
        if others:
            raise _unexpected(f"{others[0]!r:.80}: unknown beside {member!r}; label and lane are query parameters")
        if isinstance(given[member], list):
            return given[member], f"/{member}"
    raise _unexpected(f'give one object, an array of objects, or {{"{member}": [...]}}')


def _unexpected(words: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable-body", words)


def _read_file(file: IO[bytes], form: Format, kind: JobKind) -> Iterator[Row]:
    file.seek(0)
    return read_wishes(StreamSource(file, "the body"), kind, form=form)
