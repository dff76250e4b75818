"""Who is let in: a static token, or one issued for client credentials.

ours: the Coaching pages show no authentication; the token endpoint is that of the vendor's own connector.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from api_adapter.sandbox.errors import Refusal

TOKEN_PATH = "/v1/oauth/regionalToken"  # noqa: S105 - a path


@dataclass(slots=True)
class IssuedTokens:
    """Each is good for ``lifetime`` seconds from its issue; times are monotonic seconds."""

    draw: Callable[[], str]
    lifetime: float
    _expiry: dict[str, float] = field(default_factory=dict)

    def issue(self, now: float) -> dict[str, Any]:
        token = self.draw()
        self._expiry[token] = now + self.lifetime
        return {"access_token": token, "expires_in": int(self.lifetime), "token_type": "Bearer"}

    def accepts(self, token: str, now: float) -> bool:
        return self._expiry.get(token, now) > now


def check_authorization(header: str, static: str, issued: IssuedTokens, now: float) -> None:
    """``Bearer`` or the deprecated ``ApiKey``; raises ``Refusal`` 401."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() in ("bearer", "apikey"):
        if static and _same(token, static):
            return
        if issued.accepts(token, now):
            return
    raise Refusal(401, "the request has no valid authentication credentials")


def check_client(header: str, body: bytes, client_id: str, client_secret: str) -> None:
    """The token endpoint's credentials and grant; anyone is a client where none is set."""
    if not _grant_is_client_credentials(body):
        raise Refusal(400, 'grant_type must be "client_credentials"')
    if client_id and not _same(_basic(header), f"{client_id}:{client_secret}"):
        raise Refusal(401, "unknown client, or a wrong secret")


def _grant_is_client_credentials(body: bytes) -> bool:
    try:
        request = json.loads(body)
    except ValueError:
        return False
    return isinstance(request, dict) and request.get("grant_type") == "client_credentials"


def _basic(header: str) -> str:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())
