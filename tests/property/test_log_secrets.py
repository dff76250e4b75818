"""Whatever carries a secret into the log, through whichever library and in whichever form: no line shows it."""

import io
import json
import logging
import os
import string
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.services.logs import logging_as_it_was
from worker.configuration.settings import Settings, load_settings
from worker.core.access import new_token
from worker.log import configure_logging, get_logger, log_context

VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F))
MIDDLE = st.text(st.sampled_from(VISIBLE), min_size=26, max_size=50)
WEB = st.text(st.sampled_from(string.ascii_letters + string.digits), min_size=26, max_size=50)


@dataclass(frozen=True)
class Bag:
    inside: object


class Spoken(Exception):  # noqa: N818 - it is what it says
    def __str__(self) -> str:
        return f"spoke of {self.args[0]!r}"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    with logging_as_it_was():
        yield


def settings_with(folder: Path, secret: str, form: str) -> Settings:
    """Each way to give one: the marks at both ends tell them apart from what else a line says."""
    password = quote(secret, safe="")
    environ = {
        "HOME": str(folder),
        "COACHSYNC_API_URL": "https://api.example.com",
        "COACHSYNC_API_TOKEN": secret,
        "COACHSYNC_DATABASE_URL": f"postgresql://app:{password}@db.example.com/coachsync",
        "COACHSYNC_BROKER_URL": f"rediss://:{password}@redis.example.com:6379/0",
        "COACHSYNC_WEBHOOK_KEY": secret.replace(",", "."),
        "COACHSYNC_LOG_FORMAT": form,
        "COACHSYNC_LOG_LEVEL": "debug",
    }
    return load_settings(environ, cwd=folder)


log = get_logger("worker.tests")
CARRIERS: dict[str, Callable[[str], object]] = {
    "text": lambda secret: f"before {secret} after",
    "bytes": lambda secret: secret.encode(),
    "list": lambda secret: [secret, {"deep": (secret,)}],
    "key": lambda secret: {secret: {"said": 1}},
    "object": lambda secret: Bag(Bag(secret)),
    "object with bytes": lambda secret: Bag({b"token": secret.encode()}),
    "exception": Spoken,
    "exception of bytes": lambda secret: OSError(5, secret.encode()),
    "secret": SecretStr,
    "url": lambda secret: f"https://user:{quote(secret, safe='')}@h.example/?token={quote(secret)}",
    "path": lambda secret: Path("/tmp") / quote(secret, safe=""),  # noqa: S108 - a path, not a file
    "json": lambda secret: json.dumps({"Authorization": f"Bearer {secret}"}),
    "json twice": lambda secret: json.dumps(json.dumps({"said": secret})),
}


def _raise(carried: object) -> None:
    try:
        raise ValueError(carried)  # noqa: TRY301 - the cause of the next
    except ValueError as cause:
        raise Spoken(carried) from cause


def _written(carried: object) -> None:
    """By every way that leads into the log."""
    library = logging.getLogger("celery.worker.consumer")
    log.info("asked", message=str(carried), said=carried)
    log.warning("asked", headers={"Authorization": carried}, nested=[{"more": carried}])
    library.error("lost %r and %s", carried, carried)
    library.error("lost %(what)s", {"what": carried})
    with log_context(job=carried, batch=[carried]):
        library.info("within")
    try:
        _raise(carried)
    except Spoken:
        log.exception("broke", message="it broke", said=carried)
        library.exception("it broke there")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"deprecated: {carried}", stacklevel=1)


@pytest.mark.parametrize("form", ["human", "json"])
@pytest.mark.parametrize("carrier", CARRIERS)
@given(middle=MIDDLE)
@settings(max_examples=6)
def test_no_secret_of_the_settings_is_in_any_line(
    tmp_path_factory: pytest.TempPathFactory, carrier: str, form: str, middle: str
) -> None:
    secret, stream = f"zQ9w{middle}xJ7v", io.StringIO()
    configure_logging(settings_with(tmp_path_factory.getbasetemp(), secret, form), stream)
    _written(CARRIERS[carrier](secret))
    text = stream.getvalue()
    assert text.count("\n") >= 8
    assert "py.warnings" in text
    assert "zQ9w" not in text
    assert "xJ7v" not in text


@given(middle=MIDDLE)
@settings(max_examples=6)
def test_the_credentials_of_a_client_are_not_shown_as_basic_sends_them(
    tmp_path_factory: pytest.TempPathFactory, middle: str
) -> None:
    environ = {
        "HOME": str(tmp_path_factory.getbasetemp()),
        "COACHSYNC_API_URL": "https://api.example.com",
        "COACHSYNC_OAUTH_CLIENT_ID": "client",
        "COACHSYNC_OAUTH_CLIENT_SECRET": middle,
        "COACHSYNC_OAUTH_TOKEN_URL": "https://id.example.com/token",
    }
    stream = io.StringIO()
    configure_logging(load_settings(environ, cwd=tmp_path_factory.getbasetemp()), stream)
    sent = b64encode(f"client:{middle}".encode()).decode()
    _written(f"sent {sent} there")
    assert sent[:16] not in stream.getvalue()


STRANGERS: dict[str, Callable[[str], str]] = {
    "header": lambda token: f"Authorization: Bearer {token}",
    "header of bytes": lambda token: repr({b"Authorization": f"Bearer {token}".encode()}),
    "headers as they are listed": lambda token: repr([("authorization", f"Basic {token}")]),
    "webhook secret": lambda token: f"signed with whsec_{token} of it",
    "credentials": lambda token: f"amqp://app:{token}@broker.example.com//",
    "credentials of a client": lambda token: f'{{"client_secret": "{token}", "grant_type": "client_credentials"}}',
    "query": lambda token: f"GET https://a.example/oauth?access_token={token}&x=1",
    "token of the gateway": lambda token: f"refused coachsync_{token}",
}


@pytest.mark.parametrize("form", ["human", "json"])
@pytest.mark.parametrize("where", STRANGERS)
@given(middle=WEB)
@settings(max_examples=6)
def test_what_looks_like_one_is_not_shown_although_nobody_has_named_it(
    tmp_path_factory: pytest.TempPathFactory, where: str, form: str, middle: str
) -> None:
    token, stream = f"zQ9w{middle}xJ7v", io.StringIO()
    configure_logging(
        settings_with(tmp_path_factory.getbasetemp(), "a-token-of-ours-that-is-none-of-these", form), stream
    )
    _written(STRANGERS[where](token))
    assert "zQ9w" not in stream.getvalue()
    assert "xJ7v" not in stream.getvalue()


def test_a_token_as_it_is_made_is_not_shown(tmp_path: Path) -> None:
    token, stream = new_token(os.urandom), io.StringIO()
    configure_logging(settings_with(tmp_path, "a-token-of-ours-that-is-none-of-these", "json"), stream)
    _written(f"refused {token}, it ended")
    body = token.rpartition("_")[2]
    assert not [part for part in (body[:8], body[-8:]) if part in stream.getvalue()]


def test_what_is_no_secret_is_there_to_be_read(tmp_path: Path) -> None:
    stream = io.StringIO()
    configure_logging(settings_with(tmp_path, "a-token-of-ours-that-is-none-of-these", "json"), stream)
    with log_context(job="1-7", trace="c" * 32):
        log.info("chunk_done", chunk="29346eb7-9e14-4778-a985-3c41a8fa3fe7", remote="acme", home="coachsync_home")
    told: dict[str, Any] = json.loads(stream.getvalue())
    assert (told["job"], told["trace"], told["remote"], told["home"]) == ("1-7", "c" * 32, "acme", "coachsync_home")
    assert told["chunk"] == "29346eb7-9e14-4778-a985-3c41a8fa3fe7"
