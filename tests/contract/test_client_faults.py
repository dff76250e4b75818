"""What each fault between the client and the remote comes to: never left, perhaps done, or answered after all."""

import asyncio
import datetime as dt
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from httpx_aiohttp.transport import map_aiohttp_exceptions

from api_adapter.client import CoachingClient
from api_adapter.outcomes import (
    Ambiguous,
    Answered,
    Mismatched,
    Missing,
    Outcome,
    Refused,
    Throttled,
    Unavailable,
)
from api_adapter.transport import LONGEST_BODY, Timeouts, _no_reply
from tests.contract.client_rig import IMPATIENT, KEY, PERMIT, PROFILE, TARGET, client_of, write
from tests.contract.raw_server import Act, answer, cut, drip, hang_up, raw_server, say_nothing

Ask = Callable[[CoachingClient], Awaitable[Outcome[object]]]

UPDATE: Ask = lambda client: client.update_target(PERMIT, write(), KEY)  # noqa: E731 - named for the tables below
CREATE: Ask = lambda client: client.create_target(PERMIT, PROFILE, write(), KEY)  # noqa: E731
DELETE: Ask = lambda client: client.delete_target(PERMIT, TARGET)  # noqa: E731
GET: Ask = lambda client: client.get_target(PERMIT, TARGET)  # noqa: E731

each_kind = pytest.mark.parametrize(
    ("ask", "doubtful"),
    [(UPDATE, Ambiguous), (CREATE, Ambiguous), (DELETE, Unavailable), (GET, Unavailable)],
    ids=["update", "create", "delete", "get"],
)


def _outcome(ask: Ask, *script: bytes | Act, timeouts: Timeouts | None = None) -> Outcome[object]:
    async def walk() -> Outcome[object]:
        async with raw_server(*script) as server, client_of(server.url, timeouts=timeouts) as client:
            return await ask(client)

    return asyncio.run(walk())


def _patience(act: Act | bytes) -> Timeouts | None:
    return IMPATIENT if act is say_nothing else None


def _outcome_at(url: str, ask: Ask = UPDATE, timeouts: Timeouts | None = None) -> Outcome[object]:
    async def walk() -> Outcome[object]:
        async with client_of(url, timeouts=timeouts) as client:
            return await ask(client)

    return asyncio.run(walk())


async def _half_a_status(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 2")
    writer.close()


@each_kind
@pytest.mark.parametrize(
    "fault",
    [
        cut,
        hang_up,
        _half_a_status,
        say_nothing,
        b"220 mail.example.com ESMTP\r\n",
        b"\x16\x03\x01\x00\x00",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    ],
    ids=["cut", "hang_up", "half", "silence", "mail", "tls", "bad_length", "huge_header"],
)
def test_what_left_without_a_status_in_return_is_doubtful(ask: Ask, doubtful: type, fault: Act | bytes) -> None:
    outcome = _outcome(ask, fault, timeouts=_patience(fault))
    assert type(outcome) is doubtful
    assert outcome.exchange.status is None
    assert isinstance(outcome, Ambiguous | Unavailable)
    assert outcome.message.startswith("no usable answer: ")


@each_kind
def test_a_refused_connection_never_left(ask: Ask, doubtful: type) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        outcome = _outcome_at(f"http://127.0.0.1:{closed.getsockname()[1]}", ask)
    assert isinstance(outcome, Unavailable)
    assert outcome.message.startswith("not sent: ")
    del doubtful


def test_a_name_that_nobody_knows_never_left() -> None:
    outcome = _outcome_at("http://coaching.invalid")
    assert isinstance(outcome, Unavailable)
    assert outcome.message.startswith("not sent: ClientConnectorDNSError")


def test_a_connection_that_nobody_accepts_never_left() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]  # the backlog is full of them
        try:
            for filler in fillers:
                filler.settimeout(0)
                filler.connect_ex(("127.0.0.1", port))
            outcome = _outcome_at(f"http://127.0.0.1:{port}", timeouts=Timeouts(connect=0.3, acquire=60))
        finally:
            for filler in fillers:
                filler.close()
    assert isinstance(outcome, Unavailable)
    assert outcome.message.startswith("not sent: ConnectionTimeoutError")


def test_a_full_pool_never_left() -> None:
    async def walk() -> None:
        async with (
            raw_server(say_nothing) as server,
            client_of(server.url, timeouts=Timeouts(acquire=0.1, read=0.5), max_connections=1) as client,
        ):
            first, second = await asyncio.gather(UPDATE(client), UPDATE(client))
            assert isinstance(first, Ambiguous)
            assert isinstance(second, Unavailable)
            assert second.message.startswith("not sent: ")
            assert len(server.requests) == 1

    asyncio.run(walk())


_KEY = ConnectionKey("example.com", 443, True, True, None, None, None)  # noqa: FBT003 - aiohttp's own tuple


@pytest.mark.parametrize(
    ("origin", "left"),
    [
        (aiohttp.ClientConnectorError(_KEY, OSError(111, "refused")), False),
        (aiohttp.ClientConnectorDNSError(_KEY, OSError(-2, "unknown")), False),
        (aiohttp.ClientConnectorSSLError(_KEY, OSError(1, "handshake")), False),
        (aiohttp.ConnectionTimeoutError(), False),
        (aiohttp.ServerDisconnectedError(), True),
        (aiohttp.ClientConnectionResetError("Cannot write to closing transport"), True),
        (aiohttp.ClientOSError(104, "reset"), True),
        (aiohttp.SocketTimeoutError(), True),
        (aiohttp.ClientPayloadError(), True),
        (TimeoutError(), True),
    ],
    ids=lambda origin: type(origin).__name__,
)
def test_what_aiohttp_saw_decides_and_not_the_name_that_httpx_gives_it(origin: Exception, *, left: bool) -> None:
    with pytest.raises(Exception) as mapped, map_aiohttp_exceptions():  # noqa: PT011 - whatever it makes of it
        raise origin
    assert _no_reply(mapped.value).left is left


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of localhost, signed by itself; with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = dt.datetime.now(dt.UTC)  # noqa: TID251 - TLS checks against the real clock
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize(("trusted", "expected"), [(False, Unavailable), (True, Refused)])
def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(
    certificate: Path, expected: type, *, trusted: bool
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)

    async def walk() -> None:
        async with (
            raw_server(answer(400), tls=tls) as server,
            client_of(server.url, ca_bundle=certificate if trusted else None) as client,
        ):
            outcome = await UPDATE(client)
            assert isinstance(outcome, expected)
            assert len(server.requests) == trusted
            if isinstance(outcome, Unavailable):
                assert outcome.message.startswith("not sent: ClientConnectorCertificateError")

    asyncio.run(walk())


def test_a_server_without_tls_on_a_tls_port_never_left() -> None:
    async def walk() -> None:
        async with (
            raw_server(answer(400)) as server,
            client_of(server.url.replace("http:", "https:"), timeouts=Timeouts(connect=0.3, acquire=0.5)) as client,
        ):
            outcome = await UPDATE(client)
            assert isinstance(outcome, Unavailable)
            assert outcome.message.startswith("not sent: ")
            assert server.requests == []

    asyncio.run(walk())


def _cut_off(status: int, body: bytes, then: Act, **headers: str) -> Act:
    """A status and half a body."""

    async def act(writer: asyncio.StreamWriter) -> None:
        whole = answer(status, body, **headers)
        writer.write(whole[: -len(body) // 2])
        await writer.drain()
        await then(writer)

    return act


@pytest.mark.parametrize("then", [cut, hang_up, say_nothing])
@pytest.mark.parametrize(
    ("status", "expected"), [(200, Ambiguous), (400, Refused), (404, Missing), (429, Throttled), (503, Unavailable)]
)
def test_a_status_that_came_counts_even_if_its_body_breaks_off(status: int, expected: type, then: Act) -> None:
    half = _cut_off(status, b'{"target": {"name": "x"}}', then, Retry_After="5")
    outcome = _outcome(UPDATE, half, timeouts=_patience(then))
    assert type(outcome) is expected
    assert outcome.exchange.status == status
    assert outcome.exchange.retry_after == dt.timedelta(seconds=5)


@pytest.mark.parametrize(("ask", "doubtful"), [(UPDATE, Ambiguous), (GET, Unavailable)])
def test_an_answer_beyond_all_bounds_is_cut_and_not_understood(ask: Ask, doubtful: type) -> None:
    body = b'{"target": "' + b"x" * LONGEST_BODY + b'"}'
    assert type(_outcome(ask, answer(200, body), timeouts=Timeouts())) is doubtful


@pytest.mark.parametrize("total", [0.5, 3.0, 60.0])
def test_what_cannot_leave_gives_up_before_the_total_time_ends(total: float) -> None:
    timeouts = Timeouts.within(dt.timedelta(seconds=total))
    assert max(timeouts.connect, timeouts.acquire) <= total / 2
    assert timeouts.read == timeouts.total == total


def test_an_endless_body_is_not_read_to_its_end() -> None:
    written = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while written < 64 * LONGEST_BODY:
            writer.write(b" " * 65536)
            written += 65536
            await writer.drain()

    assert isinstance(_outcome(UPDATE, flood, timeouts=Timeouts()), Ambiguous)
    assert written < 32 * LONGEST_BODY, "what is beyond the cap lies in the sockets' buffers"


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"])
def test_a_drip_ends_at_the_total_time(begin: bytes) -> None:
    started = time.monotonic()
    assert isinstance(_outcome(UPDATE, drip(begin, *[b" "] * 99, pause=0.1), timeouts=Timeouts(total=0.6)), Ambiguous)
    assert time.monotonic() - started < Timeouts().total


@pytest.mark.parametrize(
    "body",
    [
        b"<html><title>Sign in</title></html>",
        b"",
        b"{}",
        b"\xff",
        b'{"target": {"name": "customers/acme/profiles/support/targets/other"}}',
    ],
)
def test_a_200_that_is_not_the_target_asked_for_is_no_answer_to_a_read(body: bytes) -> None:
    assert isinstance(_outcome(GET, answer(200, body)), Unavailable)


def test_a_200_that_shows_another_target_is_a_finding_after_a_write() -> None:
    body = b'{"target": {"name": "customers/acme/profiles/support/targets/other"}}'
    outcome = _outcome(UPDATE, answer(200, body))
    assert isinstance(outcome, Mismatched)
    assert outcome.differences[0] == ("name", TARGET, "customers/acme/profiles/support/targets/other")


def test_a_created_target_may_have_another_name_than_the_wish_but_nothing_else() -> None:
    named = TARGET + "-by-the-remote"
    shown = write(named).model_dump(mode="json", by_alias=True, exclude_none=True)
    created = _outcome(CREATE, answer(200, json.dumps({"target": shown}).encode()))
    assert isinstance(created, Answered)
    widened = _outcome(CREATE, answer(200, json.dumps({"target": shown | {"usecaseName": ""}}).encode()))
    assert isinstance(widened, Mismatched)
    assert [field for field, _, _ in widened.differences] == ["usecaseName"]


@pytest.mark.parametrize(("body", "expected"), [(b"", Answered), (b"{}", Answered), (b"<html>", Unavailable)])
def test_a_deletion_is_answered_by_nothing_or_an_empty_object_and_by_no_page(body: bytes, expected: type) -> None:
    assert type(_outcome(DELETE, answer(200, body))) is expected


def test_a_204_answers_a_deletion() -> None:
    assert isinstance(_outcome(DELETE, b"HTTP/1.1 204 No Content\r\n\r\n"), Answered)


def test_an_unasked_gzip_is_unpacked_and_a_broken_one_is_not_understood() -> None:
    assert isinstance(_outcome(UPDATE, answer(200, b"no gzip", Content_Encoding="gzip")), Ambiguous)
    assert isinstance(_outcome(UPDATE, answer(400, b"no gzip", Content_Encoding="gzip")), Refused)


@pytest.mark.parametrize("stage", [say_nothing, _cut_off(200, b'{"target": {"name": "x"}}', say_nothing)])
def test_a_cancelled_call_ends_at_once_and_its_connection_is_not_used_again(stage: Act) -> None:
    async def walk() -> None:
        async with raw_server(stage, answer(400)) as server, client_of(server.url, max_connections=1) as client:
            call = asyncio.ensure_future(UPDATE(client))
            await server.arrived.wait()
            for _ in range(20):  # one loop holds both ends: by then the client has read what there is
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert isinstance(await UPDATE(client), Refused)
            assert server.connections == 2

    asyncio.run(walk())
