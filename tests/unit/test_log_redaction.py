"""The redaction finds secrets it knows and what looks like one, and leaves the rest to read."""

import json
import logging
import string
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.configuration.redaction import MASK, Redactor
from worker.log_format import HumanFormatter, JsonFormatter

VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F)) + "üé"
SECRETS = st.text(st.sampled_from(VISIBLE), min_size=6, max_size=60)
TOKENS = st.text(st.sampled_from(string.ascii_letters + string.digits + "-._~+/"), min_size=6, max_size=60)
WAYS: list[Callable[[str], str]] = [
    lambda secret: secret,
    lambda secret: f"before {secret} after",
    lambda secret: repr({"h": secret}),
    lambda secret: json.dumps({"h": [secret]}),
    lambda secret: f"https://a.example/?q={quote(secret, safe='')}",
    lambda secret: f"postgresql://app:{quote(secret)}@h/d",
]


@given(SECRETS, st.sampled_from(WAYS))
def test_a_known_secret_is_found_however_it_is_written(secret: str, way: Callable[[str], str]) -> None:
    marked = f"zQ9{secret}xJ7"
    shown = Redactor([marked])(way(marked))
    assert "zQ9" not in shown
    assert "xJ7" not in shown


@given(SECRETS, st.sampled_from(["message", "argument", "field", "nested", "exception", "key"]), st.booleans())
def test_no_record_shows_a_known_secret_wherever_it_stands(secret: str, where: str, human: bool) -> None:  # noqa: FBT001 - drawn
    marked = f"zQ9{secret}xJ7"
    formatter = (HumanFormatter if human else JsonFormatter)(Redactor([marked]))
    line = formatter.format(_record(marked, where))
    assert "zQ9" not in line
    assert line.isprintable() or where == "exception"


def _record(secret: str, where: str) -> logging.LogRecord:
    arguments = (secret,) if where == "argument" else ("a target",)
    record = logging.LogRecord("a.b", logging.INFO, __file__, 1, "sent %s", arguments, None)
    match where:
        case "message":
            record.msg, record.args = secret, ()
        case "field":
            record.fields = {"said": secret}
        case "nested":
            record.fields = {"said": {"deep": [(secret,)]}}
        case "key":
            record.fields = {"said": {secret: 1}}
        case "exception":
            record.exc_info = (RuntimeError, RuntimeError(secret), None)
    return record


LOOKS = [
    "Authorization: Bearer {}",
    "authorization: ApiKey {}",
    "'Authorization': 'Bearer {}'",
    '"authorization": "Basic {}"',
    "(b'Authorization', b'Bearer {}')",
    "got Bearer {} here",
    "access_token={}",
    '"client_secret": "{}"',
    "'api_key': '{}'",
    "password={}&x=1",
    "https://a.example/?api_key={}&x=1",
]


@given(TOKENS, st.sampled_from(LOOKS))
def test_what_looks_like_a_secret_is_taken_out(token: str, text: str) -> None:
    marked = f"zQ9{token}xJ7"
    shown = Redactor()(text.format(marked))
    assert "zQ9" not in shown
    assert "xJ7" not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "text",
    [
        "the customer has no authorization for this",
        "https://a.example/v1/customers/a/profiles/p/scorecardTemplates/t@3:retrieveTotalAgentQuota",
        "tokens=5 token_renewals=3 request_key=abc",
        "mail to someone@example.com",
        "2026-01-31T08:00:00Z chunk_done jobs=200",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor(["a-known-one"])(text) == text


def test_a_very_short_known_secret_does_not_blacken_the_log() -> None:
    assert Redactor(["", "a"])("a cat sat") == "a cat sat"


@pytest.mark.parametrize("piece", ["a-", "://", "bearer ", 'token="\\'])
def test_a_long_line_is_redacted_in_time(piece: str) -> None:
    text = piece * (65_536 // len(piece))
    begun = time.monotonic()
    Redactor(["a-known-one"])(text)
    assert time.monotonic() - begun < 10
