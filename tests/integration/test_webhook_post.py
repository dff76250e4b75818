"""What one request to an endpoint does on real sockets: where it never connects, and that no answer holds it up."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api_adapter.transport import Timeouts
from worker.core.delivery import Reply
from worker.webhooks.address import AddressGuard
from worker.webhooks.post import KEPT_OF_A_BODY, Poster

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
CLOSED = AddressGuard()
OPEN = AddressGuard((ip_network("127.0.0.0/8"),))
PUBLIC = "127.0.0.2"  # stands for a public address: the guard is told to let it through, and 127.0.0.1 not
ALL_BUT_ONE = AddressGuard((ip_network(f"{PUBLIC}/32"),))
PATIENT = Timeouts(connect=30, acquire=30, read=30, total=30)
QUICK = Timeouts(connect=0.3, acquire=0.3, read=0.3, total=0.6)

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Look = Callable[[], list[str]]


@dataclass
class Server:
    """Counts who connects, whether or not anything is said."""

    port: int = 0
    accepted: int = 0
    requests: list[bytes] = field(default_factory=list)


def answering(*parts: bytes) -> Answer:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return answer


NO_CONTENT = answering(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")


@asynccontextmanager
async def serving(
    answer: Answer = NO_CONTENT, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        server.accepted += 1
        try:
            server.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, host, port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def post(url: str, guard: AddressGuard, timeouts: Timeouts = PATIENT) -> Reply:
    poster = Poster(guard, timeouts)
    try:
        return await poster.post(url, {"webhook-id": "msg_1"}, b"{}", NOW)
    finally:
        await poster.aclose()


def resolving(monkeypatch: pytest.MonkeyPatch, look: Look) -> list[str]:
    """Names are answered by ``look`` from here on, in the order of the look-ups that are returned."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (text, port, 0, 0))
            if ip_address(text).version == 6
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))
            for text in look()
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


HOSTILE_HOSTS = [
    "127.0.0.1",
    "127.1",
    "127.0x0.0.1",
    "2130706433",
    "0x7f000001",
    "017700000001",
    "0",
    "0.0.0.0",  # noqa: S104 - nothing listens
    "localhost",
    "[::ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "[::1]",
    "[::]",
    "169.254.169.254",
    "10.0.0.1",
]


@pytest.mark.parametrize("host", HOSTILE_HOSTS)
def test_a_guarded_address_is_connected_to_in_none_of_its_forms(host: str) -> None:
    async def run() -> tuple[Reply, int]:
        async with serving() as server:
            return await post(f"http://{host}:{server.port}/", CLOSED), server.accepted

    reply, accepted = asyncio.run(run())
    assert accepted == 0
    assert reply.status is None
    assert reply.words.startswith("not sent: ")


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["::1"],
        ["169.254.169.254"],
        ["10.0.0.1", "192.168.0.1"],
        ["fd00:ec2::254", "127.0.0.1"],
        ["127.0.0.1", "::ffff:7f00:1"],
    ],
    ids=" ".join,
)
def test_a_name_that_resolves_to_guarded_addresses_makes_no_connection(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    async def run() -> tuple[Reply, int]:
        async with serving() as server:
            return await post(f"http://hooks.example:{server.port}/", CLOSED), server.accepted

    asked = resolving(monkeypatch, lambda: addresses)
    reply, accepted = asyncio.run(run())
    assert (asked, accepted) == (["hooks.example"], 0)
    assert "nothing is sent there unless [webhooks] allow names it" in reply.words


def test_a_name_that_turns_to_loopback_between_two_messages_is_not_followed_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: the first look-up is answered with a public address, each later one with ours."""

    async def run() -> tuple[list[Reply], int, int]:
        async with serving(host=PUBLIC) as public, serving(host="127.0.0.1", port=public.port) as inner:
            url = f"http://rebinding.example:{public.port}/"
            return [await post(url, ALL_BUT_ONE) for _ in range(3)], public.accepted, inner.accepted

    answers = iter([PUBLIC])
    asked = resolving(monkeypatch, lambda: [next(answers, "127.0.0.1")])
    replies, public, inner = asyncio.run(run())
    assert [reply.status for reply in replies] == [204, None, None]
    assert (len(asked), public, inner) == (3, 1, 0)


@pytest.mark.parametrize("guarded_first", [True, False])
def test_of_several_addresses_the_guarded_one_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, *, guarded_first: bool
) -> None:
    async def run() -> tuple[Reply, int, int]:
        async with serving(host=PUBLIC) as public, serving(host="127.0.0.1", port=public.port) as inner:
            reply = await post(f"http://hooks.example:{public.port}/", ALL_BUT_ONE)
            return reply, public.accepted, inner.accepted

    addresses = ["127.0.0.1", PUBLIC] if guarded_first else [PUBLIC, "127.0.0.1"]
    resolving(monkeypatch, lambda: addresses)
    reply, public, inner = asyncio.run(run())
    assert (reply.status, public, inner) == (204, 1, 0)


def test_where_the_open_address_is_down_the_guarded_one_is_not_tried_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> tuple[Reply, int]:
        async with serving(host="127.0.0.1") as inner:
            return await post(f"http://hooks.example:{inner.port}/", ALL_BUT_ONE), inner.accepted

    resolving(monkeypatch, lambda: [PUBLIC, "127.0.0.1"])
    reply, inner = asyncio.run(run())
    assert (reply.status, inner) == (None, 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    async def run() -> tuple[Reply, int]:
        async with serving(host="127.0.0.1") as inner:
            location = f"location: http://127.0.0.1:{inner.port}/\r\n".encode()
            head = f"HTTP/1.1 {status} Moved\r\ncontent-length: 0\r\n".encode()
            async with serving(answering(head + location + b"\r\n"), host=PUBLIC) as public:
                return await post(f"http://{PUBLIC}:{public.port}/", OPEN), inner.accepted

    reply, inner = asyncio.run(run())
    assert (reply.status, reply.succeeded, inner) == (status, False, 0)


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> tuple[Reply, int, int]:
        async with serving() as proxy, serving(host=PUBLIC) as public:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            return await post(f"http://{PUBLIC}:{public.port}/", OPEN), public.accepted, proxy.accepted

    reply, public, proxy = asyncio.run(run())
    assert (reply.status, public, proxy) == (204, 1, 0)


@pytest.mark.parametrize(
    "url",
    [
        f"http://{'a' * 64}.example/",
        "http://a..b/",
        "http://xn--/",
        "http://xn--a/",
        "http://example.com:99999/",
        "http://exa mple.com/",
    ],
)
def test_a_url_that_cannot_be_looked_up_is_not_sent_and_breaks_nothing(url: str) -> None:
    reply = asyncio.run(post(url, CLOSED))
    assert reply.status is None
    assert reply.words.startswith("not sent: ")


def test_what_is_sent_is_the_body_and_the_headers_that_were_given() -> None:
    seen = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.readexactly(2))
        await NO_CONTENT(reader, writer)

    async def run() -> bytes:
        async with serving(answer) as server:
            await post(f"http://127.0.0.1:{server.port}/hooks?a=b", OPEN)
            return server.requests[0]

    request = asyncio.run(run())
    first, *lines = request.decode().strip().split("\r\n")
    names = {line.partition(":")[0].lower(): line.partition(": ")[2] for line in lines}
    assert first == "POST /hooks?a=b HTTP/1.1"
    assert names["webhook-id"] == "msg_1"
    assert names["content-type"] == "application/json"
    assert names["content-length"] == "2"
    assert names["accept-encoding"] == "identity"
    assert names["user-agent"].startswith("coachsync/")
    assert bytes(seen) == b"{}"


async def _endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


HUGE = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n", *[b"x" * 1_000_000] * 50)


@pytest.mark.parametrize("answer", [HUGE, _endless], ids=["huge", "endless"])
def test_of_a_huge_or_endless_answer_the_first_kilobyte_is_kept_and_it_ends(answer: Answer) -> None:
    async def run() -> Reply:
        async with serving(answer) as server:
            return await post(f"http://127.0.0.1:{server.port}/", OPEN, Timeouts(total=5.0))

    reply = asyncio.run(run())
    assert (reply.status, reply.body) == (200, "x" * KEPT_OF_A_BODY)


def test_a_compressed_answer_is_not_unfolded() -> None:
    """What is a kilobyte on the wire may be a gigabyte unfolded."""
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 6\r\n\r\n"

    async def run() -> Reply:
        async with serving(answering(head + b"\x1f\x8b\x08no!")) as server:
            return await post(f"http://127.0.0.1:{server.port}/", OPEN)

    reply = asyncio.run(run())
    assert (reply.status, reply.body) == (200, "\x1f\ufffd\x08no!")


def test_an_answer_in_no_encoding_at_all_is_kept_as_far_as_it_can_be_read() -> None:
    async def run() -> Reply:
        async with serving(answering(b"HTTP/1.1 400 No\r\ncontent-length: 4\r\n\r\n\xff\x00ok")) as server:
            return await post(f"http://127.0.0.1:{server.port}/", OPEN)

    reply = asyncio.run(run())
    assert (reply.status, reply.body, reply.words) == (400, "\ufffd\x00ok", "it answered 400")


def test_how_long_to_wait_is_read_from_the_answer() -> None:
    async def run() -> Reply:
        answer = answering(b"HTTP/1.1 503 Later\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n")
        async with serving(answer) as server:
            return await post(f"http://127.0.0.1:{server.port}/", OPEN)

    assert asyncio.run(run()).retry_after == timedelta(minutes=2)


async def _silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _dripping(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nx-drip: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("answer", [_silent, _dripping], ids=["silent", "dripping headers"])
def test_an_endpoint_that_does_not_come_to_its_answer_is_left(answer: Answer) -> None:
    async def run() -> tuple[Reply, float]:
        loop = asyncio.get_running_loop()
        async with serving(answer) as server:
            begun = loop.time()
            return await post(f"http://127.0.0.1:{server.port}/", OPEN, QUICK), loop.time() - begun

    reply, took = asyncio.run(run())
    assert reply.status is None
    assert reply.words.startswith("no usable answer: ")
    assert took < PATIENT.total


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "no usable answer: "),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "no usable answer: "),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "no usable answer: "),
        (b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"x" * 100_000 + b"\r\n\r\n", "no usable answer: "),
    ],
    ids=["hangs up", "speaks another protocol", "breaks off", "has an endless header"],
)
def test_what_is_no_answer_is_told_in_one_line(said: bytes, words: str) -> None:
    async def run() -> Reply:
        async with serving(answering(said)) as server:
            return await post(f"http://127.0.0.1:{server.port}/", OPEN)

    reply = asyncio.run(run())
    assert reply.status is None
    assert reply.words.startswith(words)
    assert "\n" not in reply.words
    assert len(reply.words) < 1_000


def test_a_connection_that_is_refused_is_not_sent() -> None:
    async def run() -> Reply:
        async with serving() as server:
            port = server.port
        return await post(f"http://127.0.0.1:{port}/", OPEN)

    reply = asyncio.run(run())
    assert reply.status is None
    assert reply.words.startswith("not sent: ClientConnectorError")


def test_a_server_whose_certificate_nobody_vouches_for_hears_nothing(tmp_path: Path) -> None:
    async def run() -> tuple[Reply, list[bytes]]:
        async with serving(tls=_self_signed(tmp_path)) as server:
            reply = await post(f"https://127.0.0.1:{server.port}/", OPEN, Timeouts(connect=3.0, acquire=3.0, total=5.0))
            return reply, server.requests

    reply, requests = asyncio.run(run())
    assert reply.status is None
    assert "CERTIFICATE_VERIFY_FAILED" in reply.words or "certificate verify failed" in reply.words
    assert requests == []


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, plain)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
