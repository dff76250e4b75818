"""An access token, and the place where a fleet keeps its one."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import SecretStr

TURN = timedelta(seconds=15)  # longer than a token request may take

_LONGEST_MARGIN = timedelta(minutes=5)
_MARGIN_SHARE = 5


@dataclass(frozen=True, slots=True)
class AccessToken:
    value: SecretStr
    issued_at: datetime
    expires_at: datetime

    @property
    def header(self) -> str:
        return f"Bearer {self.value.get_secret_value()}"

    @property
    def renew_at(self) -> datetime:
        """A fifth of its life before it ends, five minutes at most: time for others to try if the first one fails."""
        return self.expires_at - min((self.expires_at - self.issued_at) / _MARGIN_SHARE, _LONGEST_MARGIN)


class TokenStore(Protocol):
    """Shared by the fleet (Redis) or held in this process (the twin): one contract, one test suite.

    Raises ``TokenUnavailable`` when it is away.
    """

    async def load(self) -> AccessToken | None: ...

    async def save(self, token: AccessToken) -> None: ...

    async def take_turn(self) -> str | None:
        """The turn to renew, for ``TURN`` at most; None while someone else has it."""
        ...

    async def end_turn(self, turn: str) -> None:
        """Ends this turn and no later one."""
        ...


class LocalTokenStore:
    def __init__(self, *, new_id: Callable[[], str], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._new_id = new_id
        self._monotonic = monotonic
        self._token: AccessToken | None = None
        self._turn = ""
        self._turn_ends = 0.0

    async def load(self) -> AccessToken | None:
        return self._token

    async def save(self, token: AccessToken) -> None:
        self._token = token

    async def take_turn(self) -> str | None:
        if self._turn and self._monotonic() < self._turn_ends:
            return None
        self._turn, self._turn_ends = self._new_id(), self._monotonic() + TURN.total_seconds()
        return self._turn

    async def end_turn(self, turn: str) -> None:
        if self._turn == turn:
            self._turn = ""
