"""Signatures: the official library takes ours and we take its; each reason why a message is not to be trusted."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from schemas.webhooks import SignatureKind
from worker.webhooks.signing import (
    ID,
    PRIVATE_KEY,
    PUBLIC_KEY,
    SECRET,
    SIGNATURE,
    TIMESTAMP,
    TOLERANCE,
    NotVerified,
    Verifier,
    headers,
    new_secret,
    shown,
)

_numbers = count()


def _random(size: int) -> bytes:
    """The same each time, and never twice the same."""
    return hashlib.shake_256(str(next(_numbers)).encode()).digest(size)


OLD, NEW, OTHER = (new_secret("v1", _random) for _ in range(3))
KEY, OTHER_KEY = (new_secret("v1a", _random) for _ in range(2))
BODY = json.dumps({"type": "target.updated", "data": {"name": "Zoë 🙂"}}, ensure_ascii=False).encode()
NOW = 1_769_846_400
SIGNED = headers([NEW, KEY], "msg_1", NOW, BODY)


def now() -> int:
    """The official library looks at the clock itself."""
    return int(time.time())  # noqa: TID251 - as said


@pytest.mark.parametrize("secrets", [[NEW], [NEW, OLD], [OLD, NEW], [KEY, NEW], [NEW, KEY, OLD]])
def test_the_official_library_takes_our_signatures_also_while_several_sign(secrets: list[str]) -> None:
    signed = headers(secrets, "msg_1", now(), BODY)
    assert Webhook(NEW).verify(BODY, signed) == json.loads(BODY)


def test_during_a_rotation_either_secret_verifies_and_none_that_never_was() -> None:
    signed = headers([NEW, OLD], "msg_1", now(), BODY)
    for secret in (NEW, OLD):
        assert Webhook(secret).verify(BODY, signed)
        assert Verifier(secret).verify(signed, BODY, now()) == "msg_1"
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, signed)


def test_after_a_rotation_the_old_secret_verifies_nothing() -> None:
    signed = headers([NEW], "msg_1", now(), BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, signed)
    with pytest.raises(NotVerified, match="no signature fits"):
        Verifier(OLD).verify(signed, BODY, now())


def test_the_official_library_refuses_what_was_changed() -> None:
    signed = headers([NEW], "msg_1", now(), BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY.replace(b"updated", b"deleted"), signed)


def test_we_take_the_signatures_of_the_official_library() -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    given = {ID: "msg_1", TIMESTAMP: str(NOW), SIGNATURE: Webhook(NEW).sign("msg_1", at, BODY.decode())}
    assert Verifier(NEW).verify(given, BODY, NOW) == "msg_1"


def test_a_signature_is_the_hmac_that_the_specification_describes() -> None:
    key = base64.b64decode(NEW.removeprefix("whsec_"))
    digest = hmac.new(key, f"msg_1.{NOW}.".encode() + BODY, hashlib.sha256).digest()
    assert headers([NEW], "msg_1", NOW, BODY) == {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(NOW),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def test_an_ed25519_signature_is_verified_with_the_public_key_alone() -> None:
    kind, _, text = headers([KEY], "msg_1", NOW, BODY)[SIGNATURE].partition(",")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(shown(KEY).removeprefix("whpk_")))
    assert kind == "v1a"
    public.verify(base64.b64decode(text), f"msg_1.{NOW}.".encode() + BODY)
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(text), f"msg_2.{NOW}.".encode() + BODY)
    assert Verifier(shown(KEY)).verify(SIGNED, BODY, NOW) == "msg_1"


def test_the_signature_is_new_with_each_attempt_and_the_id_is_not() -> None:
    first, second = headers([NEW], "msg_1", NOW, BODY), headers([NEW], "msg_1", NOW + 300, BODY)
    assert first[ID] == second[ID]
    assert first[SIGNATURE] != second[SIGNATURE]


@pytest.mark.parametrize("kind", ["v1", "v1a"])
def test_a_new_secret_has_32_bytes_of_its_own_and_shows_what_the_receiver_needs(kind: SignatureKind) -> None:
    asked: list[int] = []

    def random_bytes(size: int) -> bytes:
        asked.append(size)
        return _random(size)

    secret = new_secret(kind, random_bytes)
    prefix, receivers = (SECRET, SECRET) if kind == "v1" else (PRIVATE_KEY, PUBLIC_KEY)
    assert asked == [32]
    assert secret.startswith(prefix)
    assert shown(secret).startswith(receivers)
    assert (shown(secret) == secret) is (kind == "v1")
    assert secret.removeprefix(prefix) not in repr(Verifier(shown(secret)))
    assert shown(secret) not in repr(Verifier(shown(secret)))


Given = dict[str, str]


def _without(name: str, given: Given) -> Given:
    return {key: value for key, value in given.items() if key != name}


def _with(name: str, value: str, given: Given) -> Given:
    return given | {name: value}


OLD_MESSAGE, AHEAD = (partial(headers, [NEW, KEY], "msg_1", at, BODY) for at in (NOW - TOLERANCE - 1, NOW + 301))
TIME = "its timestamp is not within 5 minutes of now"
FITS_NOT = "no signature fits"

REFUSED: list[tuple[str, Callable[[Given], Given], str]] = [
    ("old", lambda _: OLD_MESSAGE(), TIME),
    ("ahead", lambda _: AHEAD(), TIME),
    ("a timestamp set anew", partial(_with, TIMESTAMP, str(NOW + 1)), FITS_NOT),
    ("no timestamp's form", partial(_with, TIMESTAMP, "yesterday"), TIME),
    ("an empty timestamp", partial(_with, TIMESTAMP, ""), TIME),
    ("a fraction", partial(_with, TIMESTAMP, f"{NOW}.5"), TIME),
    ("a sign", partial(_with, TIMESTAMP, f"+{NOW}"), TIME),
    ("a negative time", partial(_with, TIMESTAMP, f"-{NOW}"), TIME),
    ("other digits", partial(_with, TIMESTAMP, "\u0661\u0667"), TIME),
    ("thousands of digits", partial(_with, TIMESTAMP, "9" * 5_000), TIME),
    ("not a number", partial(_with, TIMESTAMP, "nan"), TIME),
    ("another id", partial(_with, ID, "msg_2"), FITS_NOT),
    ("no id", partial(_without, ID), "the header 'webhook-id' is missing"),
    ("no time", partial(_without, TIMESTAMP), "the header 'webhook-timestamp' is missing"),
    ("no signature", partial(_without, SIGNATURE), "the header 'webhook-signature' is missing"),
    ("an empty signature", partial(_with, SIGNATURE, ""), FITS_NOT),
    ("kinds alone", partial(_with, SIGNATURE, "v1 v1a"), FITS_NOT),
    ("empty kinds", partial(_with, SIGNATURE, "v1, v1a,"), FITS_NOT),
    ("no base64", partial(_with, SIGNATURE, "v1,!!! v1a,!!!"), FITS_NOT),
    ("too short", partial(_with, SIGNATURE, "v1,AAAA v1a,AAAA"), FITS_NOT),
    ("not ASCII", partial(_with, SIGNATURE, "v1,\u00fc v1a,\u00fc"), FITS_NOT),
    ("no UTF-8", partial(_with, SIGNATURE, "v1,\udcff v1a,\udcff"), FITS_NOT),
    ("an id that is no UTF-8", partial(_with, ID, "msg_\udcff"), FITS_NOT),
    (
        "kinds that were exchanged",
        lambda given: given | {SIGNATURE: given[SIGNATURE].replace("v1a,", "v2,").replace("v1,", "v1a,")},
        FITS_NOT,
    ),
    ("another version", lambda given: given | {SIGNATURE: given[SIGNATURE].replace("v1", "v3")}, FITS_NOT),
]


@pytest.mark.parametrize("secret", [NEW, shown(KEY)], ids=["v1", "v1a"])
@pytest.mark.parametrize(("change", "why"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_message_that_is_not_to_be_trusted_is_refused_with_the_reason(
    secret: str, change: Callable[[Given], Given], why: str
) -> None:
    with pytest.raises(NotVerified) as caught:
        Verifier(secret).verify(change(SIGNED), BODY, NOW)
    assert why in str(caught.value)


@pytest.mark.parametrize("secret", [OTHER, shown(OTHER_KEY)])
def test_another_secret_does_not_verify(secret: str) -> None:
    with pytest.raises(NotVerified, match=FITS_NOT):
        Verifier(secret).verify(SIGNED, BODY, NOW)


@pytest.mark.parametrize("body", [b"", BODY[:-1], BODY + b" ", BODY.replace(b": ", b":")])
@pytest.mark.parametrize("secret", [NEW, shown(KEY)], ids=["v1", "v1a"])
def test_an_altered_body_does_not_verify_not_even_the_same_json(secret: str, body: bytes) -> None:
    with pytest.raises(NotVerified, match=FITS_NOT):
        Verifier(secret).verify(SIGNED, body, NOW)


@pytest.mark.parametrize("seconds", [-TOLERANCE, 0, TOLERANCE])
def test_five_minutes_early_or_late_is_within_tolerance(seconds: int) -> None:
    assert Verifier(NEW).verify(SIGNED, BODY, NOW + seconds) == "msg_1"


def test_the_tolerance_is_that_of_the_official_library() -> None:
    for seconds in (-TOLERANCE - 5, TOLERANCE + 5):
        signed = headers([NEW], "msg_1", now() + seconds, BODY)
        with pytest.raises(WebhookVerificationError, match=r"too (old|new)"):
            Webhook(NEW).verify(BODY, signed)
    assert timedelta(seconds=TOLERANCE) == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "begins with whsec_ or whpk_"),
        (NEW.removeprefix("whsec_"), "begins with whsec_ or whpk_"),
        (KEY, "begins with whsec_ or whpk_"),  # a private key is nobody's to verify with
        ("WHSEC_" + NEW.removeprefix("whsec_"), "begins with whsec_ or whpk_"),
        ("whsec_", "a secret has 24 to 64 bytes, this one 0"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "a secret has 24 to 64 bytes, this one 23"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "a secret has 24 to 64 bytes, this one 65"),
        ("whpk_" + base64.b64encode(bytes(31)).decode(), "a public key has 32 bytes, this one 31"),
        ("whsec_not base64 at all!", "what follows the prefix is no base64"),
        ("whsec_\u00fc", "what follows the prefix is no base64"),
        (NEW + "\n", "what follows the prefix is no base64"),
        (NEW[:-1], "what follows the prefix is no base64"),
    ],
)
def test_an_odd_secret_is_refused_and_not_shown(secret: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"secret|key|base64") as caught:
        Verifier(secret)
    assert why in str(caught.value)
    assert NEW.removeprefix("whsec_")[:8] not in str(caught.value)


@pytest.mark.parametrize("size", [24, 32, 64])
def test_secrets_of_all_lengths_of_the_specification_sign_and_verify(size: int) -> None:
    secret = "whsec_" + base64.b64encode(_random(size)).decode()
    signed = headers([secret], "msg_1", now(), BODY)
    assert Webhook(secret).verify(BODY, signed)
    assert Verifier(secret).verify(signed, BODY, now())
