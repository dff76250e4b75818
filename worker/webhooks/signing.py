"""Signatures as Standard Webhooks 1.0 has them: over ``{id}.{timestamp}.{body}``, several at once while keys change.

``v1`` is HMAC-SHA256 with a shared secret ``whsec_…``; ``v1a`` is ed25519: we sign with ``whsk_…``, who receives
verifies with ``whpk_…``. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.webhooks import SignatureKind

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE = 5 * 60  # seconds that a message may be old, or ahead of us
SECRET, PRIVATE_KEY, PUBLIC_KEY = "whsec_", "whsk_", "whpk_"
KEY_BYTES = 32
SHORTEST, LONGEST = 24, 64  # bytes of a shared secret, as the specification has it


class NotVerified(Exception):  # noqa: N818 - the house names what happened
    """The message is not to be trusted; the words say why."""


def new_secret(kind: SignatureKind, random_bytes: Callable[[int], bytes]) -> str:
    """What signs: ``whsec_…`` or ``whsk_…``."""
    return (SECRET if kind == "v1" else PRIVATE_KEY) + base64.b64encode(random_bytes(KEY_BYTES)).decode()


def shown(secret: str) -> str:
    """What the receiver needs: the shared secret itself, or the public key."""
    if secret.startswith(SECRET):
        return secret
    public = _private(secret).public_key().public_bytes_raw()
    return PUBLIC_KEY + base64.b64encode(public).decode()


def headers(secrets: Iterable[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of one attempt; ``timestamp`` is when it is made, in seconds since 1970."""
    signed = _signed(message_id, str(timestamp), body)
    return {
        ID: message_id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: " ".join(_signature(secret, signed) for secret in secrets),
    }


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies with a shared secret ``whsec_…`` or a public key ``whpk_…``. Raises ``ValueError`` for anything else."""

    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        raw = _raw(self.secret, (SECRET, PUBLIC_KEY))
        if self.secret.startswith(PUBLIC_KEY) and len(raw) != KEY_BYTES:
            raise ValueError(f"a public key has {KEY_BYTES} bytes, this one {len(raw)}")

    def verify(self, given: Mapping[str, str], body: bytes, now: float) -> str:
        """The message's id. ``given`` by lower-case name; ``now`` in seconds since 1970. Raises ``NotVerified``."""
        try:
            message_id, timestamp, signatures = given[ID], given[TIMESTAMP], given[SIGNATURE]
        except KeyError as error:
            raise NotVerified(f"the header {error} is missing") from None
        if not (timestamp.isascii() and timestamp.isdigit()) or abs(now - int(timestamp[:15])) > TOLERANCE:
            raise NotVerified(f"its timestamp is not within {TOLERANCE // 60} minutes of now")
        signed = _signed(message_id, timestamp, body)
        if not any(self._fits(one, signed) for one in signatures.split(" ")):
            raise NotVerified("no signature fits: another secret, or the message was changed on its way")
        return message_id

    def _fits(self, signature: str, signed: bytes) -> bool:
        kind, _, text = signature.partition(",")
        if self.secret.startswith(SECRET):
            return kind == "v1" and hmac.compare_digest(_bytes(signature), _bytes(_signature(self.secret, signed)))
        if kind != "v1a":
            return False
        try:
            key = Ed25519PublicKey.from_public_bytes(_raw(self.secret, (PUBLIC_KEY,)))
            key.verify(base64.b64decode(text, validate=True), signed)
        except (InvalidSignature, ValueError):
            return False
        return True


def _signed(message_id: str, timestamp: str, body: bytes) -> bytes:
    return _bytes(f"{message_id}.{timestamp}.") + body


def _bytes(header: str) -> bytes:
    """Of any header: what is no UTF-8 is a lone surrogate in it."""
    return header.encode(errors="surrogatepass")


def _signature(secret: str, signed: bytes) -> str:
    if secret.startswith(PRIVATE_KEY):
        return "v1a," + base64.b64encode(_private(secret).sign(signed)).decode()
    digest = hmac.new(_raw(secret, (SECRET,)), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _private(secret: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(_raw(secret, (PRIVATE_KEY,)))


def _raw(secret: str, prefixes: tuple[str, ...]) -> bytes:
    if not secret.startswith(prefixes):
        raise ValueError(f"a secret begins with {' or '.join(prefixes)}")
    try:
        raw = base64.b64decode(secret.partition("_")[2], validate=True)
    except ValueError:
        raise ValueError("what follows the prefix is no base64") from None
    if not SHORTEST <= len(raw) <= LONGEST:
        raise ValueError(f"a secret has {SHORTEST} to {LONGEST} bytes, this one {len(raw)}")
    return raw
