"""Single updates, taken together: what waits while a transaction is under way is the next one.

Each request asks for one wish. Those that say the same of their batch (whose, which lane, which label) share a batch, a
transaction and its commit; each gets its own answer, and one that is refused costs the others nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from schemas.ids import format_job_id
from schemas.jobs import QuotaRecalculation, TargetUpdate
from worker.configuration.remotes import NoRemote, Remote
from worker.gateway.answers import as_json
from worker.gateway.idempotency import request_key
from worker.gateway.problems import Problem
from worker.gateway.row_problems import field_errors
from worker.intake.accept import Offered, Receipt, RowFate, accept_within
from worker.intake.patience import patiently
from worker.intake.row_errors import FieldError
from worker.log import get_logger
from worker.store import kept_answers
from worker.store.batches import NewBatch
from worker.store.engine import Database, is_passing
from worker.store.kept_answers import Answered, RequestKey
from worker.telling.receipt_records import receipt_record

MOST_TOGETHER = 500
MOST_WAITING = 5_000
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Single:
    """One wish. ``fingerprint`` is of the request that it came in; it only counts beside a key.

    ``traceparent``: the request's span.
    """

    wish: TargetUpdate | QuotaRecalculation
    new: NewBatch
    forced: bool = False
    key: RequestKey | None = None
    fingerprint: str = ""
    traceparent: str | None = None

    def goes_with(self, other: "Single") -> bool:
        return (self.new, self.forced) == (other.new, other.forced)


@dataclass(frozen=True, slots=True)
class Taken:
    answered: Answered
    replayed: bool = False


@dataclass(slots=True)
class Singles:
    """Called on the event loop; the transactions are a thread's of its own."""

    database: Database
    remote_for: Callable[[str], Remote | NoRemote]
    _waiting: list[tuple[Single, asyncio.Future[Taken]]] = field(default_factory=list)
    _working: asyncio.Task[None] | None = None
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "singles"))

    async def take(self, single: Single) -> Taken:
        """Once it returns, what it tells is committed. Raises ``Problem`` where too many wait."""
        if len(self._waiting) >= MOST_WAITING:
            words = "more requests wait than can be taken now; nothing was written"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", words, headers={"Retry-After": "1"})
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[Taken] = loop.create_future()
        self._waiting.append((single, taken))
        if self._working is None or self._working.done():
            self._working = loop.create_task(self._work())
        return await taken

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            some = self._next()
            try:
                results = await loop.run_in_executor(self._thread, self._commit, [single for single, _ in some])
            except Exception as error:  # noqa: BLE001 - each request is told, and answers for itself
                results = [error] * len(some)
            for (_, taken), result in zip(some, results, strict=True):
                _settle(taken, result)

    def _next(self) -> list[tuple[Single, asyncio.Future[Taken]]]:
        """The oldest, and those after it that go with it."""
        oldest = self._waiting[0][0]
        chosen = [one for one in self._waiting if one[0].goes_with(oldest)][:MOST_TOGETHER]
        if len(chosen) == len(self._waiting):
            self._waiting = []
        else:
            left_out = set(map(id, chosen))
            self._waiting = [one for one in self._waiting if id(one) not in left_out]
        return chosen

    def _commit(self, singles: Sequence[Single]) -> list[Taken | Exception]:
        """What none of us has foreseen is looked for one by one, and costs its neighbours nothing."""
        try:
            return list(patiently(lambda: self._together(singles)))
        except Exception as error:
            if len(singles) == 1:
                return [error]
            if isinstance(error, DBAPIError) and is_passing(error):
                raise
            _log.exception("gateway_group_broke", requests=len(singles))
            return [result for single in singles for result in self._commit([single])]

    def _together(self, singles: Sequence[Single]) -> list[Taken]:
        with self.database.write() as session:
            kept = kept_answers.find(session, [single.key for single in singles if single.key])
            fresh = [single for single in singles if single.key not in kept]
            made = dict(zip(map(id, fresh), self._accepted(session, fresh), strict=True))
            kept_answers.keep(session, [(single.key, made[id(single)]) for single in fresh if single.key])
        return [
            Taken(kept[single.key], replayed=True) if single.key in kept else Taken(made[id(single)])
            for single in singles
        ]

    def _accepted(self, session: Session, singles: Sequence[Single]) -> list[Answered]:
        if not singles:
            return []
        first = singles[0]
        rows = [
            Offered(number, number, _with_key(single), traceparent=single.traceparent)
            for number, single in enumerate(singles, 1)
        ]
        batch, fates = accept_within(
            session, self.database, list(rows), first.new, self.remote_for, forced=first.forced
        )
        return [_answered(batch, fate, single) for fate, single in zip(fates, singles, strict=True)]


def _with_key(single: Single) -> TargetUpdate | QuotaRecalculation:
    """The wish's own key, where it has one, else the request's."""
    if single.key is None or single.wish.request_key:
        return single.wish
    return single.wish.model_copy(update={"request_key": request_key(single.key)})


def _answered(batch: int, fate: RowFate, single: Single) -> Answered:
    if not fate.fate.accepted or fate.job_id is None:
        return _refused(batch, fate, single)
    job = format_job_id(fate.job_id)
    record = receipt_record(Receipt(batch, 1, 1, 0, Counter([fate.fate]))) | {"job": job, "rejections": []}
    return Answered(single.fingerprint, HTTPStatus.ACCEPTED, as_json(record), f"/v1/jobs/{job}")


def _refused(batch: int, fate: RowFate, single: Single) -> Answered:
    error = FieldError(fate.field or "", fate.reason or "", fate.value or "")
    problem = invalid((error,), batch=batch, row=fate.row)
    return Answered(single.fingerprint, problem.status, as_json(problem.body))


def invalid(errors: Sequence[FieldError], **members: Any) -> Problem:
    """One object that is no update. ``members`` say where its refusal is kept, if it is."""
    first = errors[0]
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-update",
        f"{first.field or 'the object'}: {first.reason}",
        errors=field_errors("", errors),
        **members,
    )


def _settle(taken: asyncio.Future[Taken], result: Taken | Exception) -> None:
    if taken.done():  # who asked has gone; what was committed stays
        return
    if isinstance(result, Exception):
        taken.set_exception(result)
    else:
        taken.set_result(result)
