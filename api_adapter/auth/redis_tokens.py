"""The fleet's access token in Redis: encrypted at rest, renewed by one worker at a time."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api_adapter.auth.authenticator import TokenUnavailable
from api_adapter.auth.tokens import TURN, AccessToken

_END_TURN = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True)

    value: str
    issued_at: datetime
    expires_at: datetime


class RedisTokenStore:
    """``key`` names the remote. Who does not know the client secret can neither read the token nor plant one.

    The key's suffix hangs on the secret too: while a new secret is rolled out, old and new workers keep apart.
    """

    def __init__(self, redis: Redis, *, key: str, client_secret: SecretStr, new_id: Callable[[], str]) -> None:
        self._redis = redis
        self._new_id = new_id
        suffix = _derive(client_secret, f"{key} name", 8).hex()
        self._token_key, self._turn_key = f"{key}:token:{suffix}", f"{key}:turn:{suffix}"
        self._cipher = Fernet(base64.urlsafe_b64encode(_derive(client_secret, f"{key} cipher", 32)))

    async def load(self) -> AccessToken | None:
        with _away_is_trouble():
            sealed = await self._redis.get(self._token_key)
        if sealed is None:
            return None
        try:
            stored = _Stored.model_validate_json(self._cipher.decrypt(sealed))
        except (InvalidToken, ValidationError):  # not ours: as if there were none
            return None
        return AccessToken(SecretStr(stored.value), stored.issued_at, stored.expires_at)

    async def save(self, token: AccessToken) -> None:
        stored = _Stored(value=token.value.get_secret_value(), issued_at=token.issued_at, expires_at=token.expires_at)
        sealed = self._cipher.encrypt(stored.model_dump_json().encode())
        with _away_is_trouble():
            await self._redis.set(self._token_key, sealed, pxat=int(token.expires_at.timestamp() * 1000))

    async def take_turn(self) -> str | None:
        turn = self._new_id()
        with _away_is_trouble():
            taken = await self._redis.set(self._turn_key, turn, nx=True, px=TURN)
        return turn if taken else None

    async def end_turn(self, turn: str) -> None:
        with _away_is_trouble():
            await self._redis.eval(_END_TURN, 1, self._turn_key, turn)


def _derive(secret: SecretStr, purpose: str, length: int) -> bytes:
    hkdf = HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=f"coachsync access token {purpose}".encode())
    return hkdf.derive(secret.get_secret_value().encode())


@contextmanager
def _away_is_trouble() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise TokenUnavailable(f"the shared store of tokens is away: {type(error).__name__}") from error
