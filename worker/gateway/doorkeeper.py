"""Who is behind a request: its bearer token, looked up in the store and believed for a moment."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus

from sqlalchemy.exc import SQLAlchemyError

from worker.core.access import Holder, Scope, digest_of, is_token
from worker.gateway.problems import Problem
from worker.store import tokens
from worker.store.engine import Database

BELIEVED = timedelta(seconds=2)  # so long a revoked token is still let in
MOST_REMEMBERED = 10_000
_CHALLENGE = 'Bearer realm="coachsync"'


@dataclass(slots=True)
class Doorkeeper:
    """Only tokens that are good are remembered: whoever guesses pays a look at the store each time."""

    database: Database
    monotonic: Callable[[], float]
    _known: dict[str, tuple[float, Holder]] = field(default_factory=dict)
    _looking: dict[str, asyncio.Task[Holder | None]] = field(default_factory=dict)

    async def admit(self, authorization: str | None, scope: Scope) -> Holder:
        """Raises ``Problem``: 401 where nobody is behind it, 403 where they may not."""
        holder = await self.identify(authorization)
        if not holder.may(scope):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "insufficient-scope",
                f"the token {holder.token_id} of {holder.name} does not have the scope {scope}",
                headers={"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'},
                scope=str(scope),
            )
        return holder

    async def still_admits(self, authorization: str | None, scope: Scope) -> bool:
        """Of whoever was admitted before, and is told things since then. A store that is away tells nothing anyway."""
        try:
            await self.admit(authorization, scope)
        except Problem:
            return False
        except SQLAlchemyError:
            return True
        return True

    async def identify(self, authorization: str | None) -> Holder:
        """Whoever it is, whatever they may do. Raises ``Problem``."""
        kind, _, token = (authorization or "").strip().partition(" ")
        if kind.lower() != "bearer":
            raise _nobody("give a token: Authorization: Bearer coachsync_… (coachsync tokens create)", _CHALLENGE)
        holder = await self.holder_of(token.strip())
        if holder is None:
            words = "there is no such token, or it was revoked, or has expired (coachsync tokens list)"
            raise _nobody(words, f'{_CHALLENGE}, error="invalid_token"')
        return holder

    async def holder_of(self, token: str) -> Holder | None:
        if not is_token(token):
            return None
        digest, now = digest_of(token), self.monotonic()
        until, holder = self._known.get(digest, (0.0, None))
        if holder is None or until <= now:
            self._known.pop(digest, None)
            holder = await self._looked_up_once(digest)
            if holder:
                self._remember(digest, holder, now)
        return holder

    async def _looked_up_once(self, digest: str) -> Holder | None:
        """Of requests that come at once with the same token one looks, and the others wait for it."""
        if (looking := self._looking.get(digest)) is None:
            looking = self._looking[digest] = asyncio.create_task(asyncio.to_thread(self._look_up, digest))
            looking.add_done_callback(lambda _: self._looking.pop(digest, None))
        return await asyncio.shield(looking)

    def _look_up(self, digest: str) -> Holder | None:
        with self.database.read() as session:
            holder = tokens.holder_of(session, digest)
            is_news = holder is not None and tokens.is_use_news(session, holder.token_id)
        if holder and is_news:
            with self.database.write() as session:
                tokens.note_use(session, holder.token_id)
        return holder

    def _remember(self, digest: str, holder: Holder, now: float) -> None:
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[digest] = (now + BELIEVED.total_seconds(), holder)


def _nobody(words: str, challenge: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", words, headers={"WWW-Authenticate": challenge})
