"""OAuth 2 client credentials, as the vendor's own connector asks for them; one token for the fleet.

Renewed before it ends, by whoever gets the turn; the others keep using the old one until it really ends. A failed turn
is kept until it runs out, so that a fleet asks an issuer in trouble once a turn and not once a request.
"""

import asyncio
import base64
from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import SecretStr

from api_adapter.auth.authenticator import TokenTrouble, TokenUnavailable
from api_adapter.auth.grant import TOKEN_BODY, TOKEN_HEADERS, read_grant
from api_adapter.auth.secret import check_token
from api_adapter.auth.tokens import TURN, AccessToken, TokenStore
from api_adapter.transport import Transport, check_url

YOUNG = timedelta(minutes=1)  # a token rejected this soon after its issue: the next one would be, too

_LOOKS = 50  # for the token another worker is fetching: 5 s, then the jobs wait and not the worker
_LOOK_AGAIN = 0.1  # seconds


class ClientCredentials:
    """Belongs to one event loop, as its transport does."""

    def __init__(  # noqa: PLR0913 - keyword-only: three facts, three parts
        self,
        *,
        token_url: str,
        client_id: str,
        client_secret: SecretStr,
        store: TokenStore,
        transport: Transport,
        clock: Callable[[], datetime],
    ) -> None:
        if not client_id or ":" in client_id:
            raise ValueError("the client id is empty or holds a colon, which Basic credentials cannot carry")
        self._token_url = check_url(token_url, "the token URL")
        self._secret = check_token(client_secret, "the client secret")
        basic = base64.b64encode(f"{client_id}:{client_secret.get_secret_value()}".encode()).decode()
        self._authorization = SecretStr(f"Basic {basic}")
        self._store = store
        self._transport = transport
        self._clock = clock
        self._held: AccessToken | None = None
        self._rejected = ""
        self._trouble: TokenTrouble | None = None
        self._trouble_at = clock()
        self._renewing = asyncio.Lock()

    async def header(self) -> str:
        held = self._held
        if held and (self._fresh(held) or (self._renewing.locked() and self._usable(held))):
            return held.header
        async with self._renewing:
            return (await self._current()).header

    async def renew(self, rejected: str) -> bool:
        held = self._held
        if held and held.header == rejected and self._clock() < held.issued_at + YOUNG:
            return False
        self._rejected = rejected
        try:
            return await self.header() != rejected
        except TokenTrouble:
            return False

    def _usable(self, token: AccessToken) -> bool:
        return self._clock() < token.expires_at and token.header != self._rejected

    def _fresh(self, token: AccessToken) -> bool:
        return self._clock() < token.renew_at and self._usable(token)

    async def _current(self) -> AccessToken:
        """The fleet's token, or the one we hold while it lasts."""
        if self._held and self._fresh(self._held):
            return self._held
        try:
            self._held = await self._fleet_token()
        except TokenTrouble as trouble:
            if not self._in_trouble:
                self._trouble, self._trouble_at = trouble, self._clock()
            if not (self._held and self._usable(self._held)):
                raise
        return self._held

    async def _fleet_token(self) -> AccessToken:
        """Fresh if there is one; else ours to fetch, or the old one, or what another worker is fetching."""
        for _ in range(_LOOKS):
            stored = await self._store.load()
            if stored and self._fresh(stored):
                return stored
            if self._trouble and self._in_trouble:
                raise type(self._trouble)(str(self._trouble))
            if turn := await self._store.take_turn():
                return await self._renewed_in(turn)
            for old in (self._held, stored):
                if old and self._usable(old):
                    return old
            await asyncio.sleep(_LOOK_AGAIN)
        raise TokenUnavailable("another worker has the turn to renew the access token, and none came of it")

    @property
    def _in_trouble(self) -> bool:
        """For a turn after trouble nobody here asks again; what another worker got meanwhile is taken."""
        return self._trouble is not None and self._clock() < self._trouble_at + TURN

    async def _renewed_in(self, turn: str) -> AccessToken:
        """Ask the issuer, unless a token came between the look and the turn. A turn that fails is left to run out."""
        token = await self._store.load()
        if not (token and self._fresh(token)):
            token = await self._ask_issuer()
            await self._store.save(token)
        await self._store.end_turn(turn)
        return token

    async def _ask_issuer(self) -> AccessToken:
        asked_at = self._clock()
        headers = {"Authorization": self._authorization.get_secret_value(), **TOKEN_HEADERS}
        reply = await self._transport.send("POST", self._token_url, headers, TOKEN_BODY)
        return read_grant(reply, asked_at, secrets=(self._secret, self._authorization))
