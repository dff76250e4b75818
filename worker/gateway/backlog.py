"""How much waits to be sent: above its bound nothing more is taken, so that what was taken is done in time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from sqlalchemy import func, select

from schemas.jobs import JobState
from worker.counts import counted
from worker.gateway.problems import Problem
from worker.store.engine import Database
from worker.store.selection import in_state
from worker.store.tables import jobs

LOOK_EVERY = 2.0  # seconds, or a look's own time twenty times over
ASK_AGAIN_IN = 30


@dataclass(slots=True)
class Backlog:
    """Looked at now and then, by whoever comes next; nobody waits for it but the first."""

    database: Database
    most: int
    monotonic: Callable[[], float]
    _waiting: int = 0
    _next_look: float | None = None

    async def check(self) -> None:
        """Raises ``Problem``."""
        now = self.monotonic()
        if self._next_look is None or now >= self._next_look:
            self._next_look = now + LOOK_EVERY  # those who come meanwhile go by the last look
            self._waiting = await asyncio.to_thread(self._count)
            self._next_look = max(self._next_look, self.monotonic() + 20 * (self.monotonic() - now))
        if self._waiting > self.most:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "backlog-full",
                f"more than {counted(self.most, 'job')} wait to be sent; nothing was written",
                headers={"Retry-After": str(ASK_AGAIN_IN)},
            )

    def _count(self) -> int:
        some = select(jobs.c.id).where(in_state(JobState.PENDING)).limit(self.most + 1)
        with self.database.read() as session:
            return int(session.execute(select(func.count()).select_from(some.subquery())).scalar_one())
