"""Reads many targets of one remote, under the fleet's limit: page by page where that takes fewer requests, else singly.

SurveyFailed   the remote cannot be read now; the message says why.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeVar

from api_adapter.client import CoachingClient
from api_adapter.outcomes import (
    Ambiguous,
    Answered,
    Missing,
    NotSent,
    Outcome,
    Refused,
    Throttled,
    Unavailable,
    Unsupported,
)
from api_adapter.rate_limit.permits import Permit, Settled
from schemas.coaching import Target, TargetPage
from schemas.lanes import Lane
from schemas.names import profile_of
from worker.core.backoff import full_jitter
from worker.exchanges import settled, tried_of
from worker.executor import MOST_AT_ONCE, RemoteAccess
from worker.permit_pool import PermitPool
from worker.store.records import Tried

T = TypeVar("T")

MOST_FAILURES = 5  # of one request, before the survey is given up
PATIENCE = timedelta(minutes=2)  # for one permit: a limit of a minute may be used up


class SurveyFailed(Exception):  # noqa: N818 - the house names what happened
    """Nobody's bug: the words are for the person who asked."""


@dataclass(slots=True)
class Survey:
    """What has been found, what is not there, and the requests that it took."""

    found: dict[str, Target] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    tried: list[Tried] = field(default_factory=list)

    @property
    def seen(self) -> int:
        return len(self.found) + len(self.missing)


@dataclass(frozen=True, slots=True)
class Surveyor:
    access: RemoteAccess
    now: Callable[[], datetime]
    uniform: Callable[[], float]
    on_progress: Callable[[int], None] = lambda _: None

    async def survey(self, names: Sequence[str], survey: Survey) -> None:
        """Fill ``survey``, which keeps what was read also where it fails."""
        pool = PermitPool(self.access.limiter, Lane.BULK, self.uniform)
        async with pool.running():
            run = _Run(self, pool, survey)
            for profile, its in groupby(sorted(set(names)), key=profile_of):
                await run.list_profile(profile, set(its))
            await run.read_each([name for name in names if name not in survey.found and name not in survey.missing])


@dataclass(frozen=True, slots=True)
class _Run:
    surveyor: Surveyor
    pool: PermitPool
    survey: Survey

    async def list_profile(self, profile: str, wanted: set[str]) -> None:
        """Page by page, as long as there is more to be found than another page costs."""
        token, pages = "", 0
        while pages + 1 < len(wanted):
            outcome = await self._ask(lambda permit: self._client.list_targets(permit, profile, token))  # noqa: B023 - awaited here
            match outcome:
                case Answered(value=TargetPage() as page):
                    found = {target.name: target for target in page.targets if target.name in wanted}
                    self._note(found)
                    wanted -= found.keys()
                    pages += 1
                    if not page.next_page_token:
                        self._note_missing(wanted)
                        return
                    if page.next_page_token == token:
                        return
                    token = page.next_page_token
                case _:
                    return  # it lists none, or not any further

    async def read_each(self, names: Sequence[str]) -> None:
        waiting = deque(names)

        async def work() -> None:
            while waiting:
                await self._read(waiting.popleft())

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(MOST_AT_ONCE, self.surveyor.access.max_in_flight, len(waiting))):
                    group.create_task(work())
        except* SurveyFailed as failures:
            raise SurveyFailed(str(failures.exceptions[0])) from failures.exceptions[0]

    async def _read(self, name: str) -> None:
        match await self._ask(lambda permit: self._client.get_target(permit, name)):
            case Answered(value=Target() as target):
                self._note({name: target})
            case Missing():
                self._note_missing({name})
            case other:
                raise SurveyFailed(getattr(other, "message", "it cannot be read"))

    async def _ask(self, call: Callable[[Permit], Awaitable[Outcome[T]]]) -> Outcome[T]:
        """An answer; what passes is asked again."""
        failures = 0
        while True:
            outcome = await self._send(call)
            match outcome:
                case NotSent():
                    continue
                case Answered() | Missing() | Unsupported() | Refused():
                    return outcome
                case Throttled() | Unavailable() | Ambiguous() if failures + 1 < MOST_FAILURES:
                    failures += 1
                    await asyncio.sleep(full_jitter(failures, self.surveyor.uniform).total_seconds())
                case other:
                    raise SurveyFailed(getattr(other, "message", "it cannot be read"))

    async def _send(self, call: Callable[[Permit], Awaitable[Outcome[T]]]) -> Outcome[T]:
        permit = await self.pool.take(asyncio.get_running_loop().time() + PATIENCE.total_seconds())
        if permit is None:
            raise SurveyFailed("its limit is used up, it has asked for a long wait, or the broker is away")
        started_at = self.surveyor.now()
        try:
            outcome = await call(permit)
        except BaseException:
            self.pool.settle(Settled(permit))  # it may have left
            raise
        self.pool.settle(settled(permit, outcome))
        if not isinstance(outcome, NotSent):
            self.survey.tried.append(tried_of(outcome, started_at))
        return outcome

    @property
    def _client(self) -> CoachingClient:
        return self.surveyor.access.client

    def _note(self, found: dict[str, Target]) -> None:
        self.survey.found |= found
        self.surveyor.on_progress(self.survey.seen)

    def _note_missing(self, names: set[str]) -> None:
        self.survey.missing |= names
        self.surveyor.on_progress(self.survey.seen)
