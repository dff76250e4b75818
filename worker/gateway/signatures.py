"""Whether a source of the roster has signed what it posts. The body is looked at by nothing else before.

``standard-webhooks`` as its specification has it; ``hmac-sha256`` over the body, or over ``TIMESTAMP.BODY``.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from worker.configuration.oversight import Signing, SourceOptions
from worker.configuration.problems import SettingsError
from worker.configuration.settings import Settings
from worker.webhooks.signing import TOLERANCE, NotVerified, Verifier


@dataclass(frozen=True, slots=True)
class PlainHmac:
    """``header`` and ``timestamp_header`` in small letters."""

    secret: bytes = field(repr=False)
    header: str
    timestamp_header: str | None = None

    def verify(self, given: Mapping[str, str], body: bytes, now: float) -> None:
        """Raises ``NotVerified``."""
        signature = given.get(self.header, "").strip()
        if not signature:
            raise NotVerified(f"the header {self.header} is missing")
        digest = hmac.new(self.secret, self._signed(given, body, now), hashlib.sha256).digest()
        said = signature.removeprefix("sha256=").encode(errors="replace")
        forms = (digest.hex().encode(), base64.b64encode(digest))
        if not any([hmac.compare_digest(form, said if form is forms[1] else said.lower()) for form in forms]):  # noqa: C419 - both, whichever fits
            raise NotVerified("the signature does not fit: another secret, or the message was changed on its way")

    def _signed(self, given: Mapping[str, str], body: bytes, now: float) -> bytes:
        if self.timestamp_header is None:
            return body
        timestamp = given.get(self.timestamp_header, "").strip()
        if not (timestamp.isascii() and timestamp.isdigit()) or abs(now - int(timestamp[:15])) > TOLERANCE:
            raise NotVerified(f"its timestamp is not within {TOLERANCE // 60} minutes of now")
        return timestamp.encode() + b"." + body


@dataclass(frozen=True, slots=True)
class Source:
    """``customers`` are those it may speak of; without any, all."""

    name: str
    verifier: Verifier | PlainHmac
    customers: frozenset[str]


def sources_of(settings: Settings) -> dict[str, Source]:
    """Raises ``SettingsError`` for a secret that Standard Webhooks does not take."""
    return {
        name: Source(name, _verifier(name, options, settings), frozenset(options.customers))
        for name, options in settings.gateway.sources.items()
    }


def _verifier(name: str, options: SourceOptions, settings: Settings) -> Verifier | PlainHmac:
    secret = settings.source_secrets[name].get_secret_value()
    match options.verify:
        case Signing.STANDARD_WEBHOOKS:
            try:
                return Verifier(secret)
            except ValueError as error:
                raise SettingsError((f"gateway.sources.{name}: {error}",)) from None
        case Signing.HMAC:
            timestamp = options.timestamp_header and options.timestamp_header.lower()
            return PlainHmac(secret.encode(), (options.header or "").lower(), timestamp)
        case never:
            assert_never(never)
