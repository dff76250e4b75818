"""One pooled HTTP client a process: sends a request once, and says honestly whether it may have left.

Nothing is followed, retried, stored or taken from the environment here: it is httpx's transport alone, without the
client around it, whose redirects, cookies and authentication would only be switched off (an eighth of a worker's time).
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

import aiohttp
import httpx
from aiohappyeyeballs import AddrInfoType
from httpx_aiohttp import AiohttpTransport

from api_adapter.classify import NoReply, Reply
from api_adapter.error_body import one_line

LONGEST_BODY = 2 * 1024 * 1024
KEEP_ALIVE_SECONDS = 15.0  # below the idle limit of the usual gateways (60 s and more): they rarely close on us first

OpenSocket = Callable[[AddrInfoType], socket.socket]

_NO_SUCH_HOST = (httpx.InvalidURL, aiohttp.InvalidURL, UnicodeError)  # a name that no look-up takes: a label too long
_NEVER_LEFT = (  # connect, DNS, TLS; a full pool
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    *_NO_SUCH_HOST,
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``acquire`` holds the wait for the pool, DNS, connect and TLS together; ``total`` ends a slow drip."""

    connect: float = 3.0
    acquire: float = 5.0
    read: float = 10.0
    total: float = 20.0

    @classmethod
    def within(cls, total: timedelta) -> Self:
        """What cannot leave gives up well before the end: at the end nobody knows any more whether it has left."""
        seconds = total.total_seconds()
        longest = seconds / 2
        return cls(
            connect=min(cls().connect, longest), acquire=min(cls().acquire, longest), read=seconds, total=seconds
        )


def check_url(url: str, what: str) -> str:
    """Raises ``ValueError`` for what is no plain HTTP URL, without showing a password in it."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError(f"{what} must be like https://example.com/")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(f"{what} takes no user, query or fragment")
    return url


class ConnectionLostError(aiohttp.ClientError):
    """The connection ended after the request may have been written."""


class Transport:
    """Belongs to one event loop, which it meets at its first request. Close it there."""

    def __init__(  # noqa: PLR0913 - keyword-only: each says one thing of the connections
        self,
        *,
        ca_bundle: Path | None = None,
        max_connections: int = 100,
        timeouts: Timeouts | None = None,
        longest_body: int = LONGEST_BODY,
        decoded: bool = True,
        open_socket: OpenSocket | None = None,
    ) -> None:
        """``ca_bundle`` replaces the system's certificate authorities; ``max_connections`` 0 is no limit.

        ``decoded`` False takes a compressed body as it comes: who is not trusted may make gigabytes of a few bytes.
        ``open_socket`` makes the socket for each address that is about to be connected to; its ``OSError`` refuses it.
        """
        self._timeouts = timeouts or Timeouts()
        self._longest_body = longest_body
        self._decoded = decoded
        self._open_socket = open_socket
        self._max_connections = max_connections
        self._tls = _tls_context(ca_bundle)
        self._http = AiohttpTransport(verify=self._tls, trust_env=False, client=self._open_session)
        httpx_timeouts = httpx.Timeout(
            connect=self._timeouts.connect,
            read=self._timeouts.read,
            write=None,  # aiohttp has none; ``total`` bounds it
            pool=self._timeouts.acquire,
        )
        self._extensions = {"timeout": httpx_timeouts.as_dict()}

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply | NoReply:
        """Send once. A status that came counts, even if its body broke off or was cut at its longest."""
        response: httpx.Response | None = None
        received = bytearray()
        try:
            request = httpx.Request(method, url, headers=headers, content=body, extensions=self._extensions)
            async with asyncio.timeout(self._timeouts.total):
                response = await self._http.handle_async_request(request)
                stream = response.aiter_bytes() if self._decoded else response.aiter_raw()
                chunks = cast("AsyncGenerator[bytes]", stream)  # httpx types it as an iterator
                async with aclosing(response), aclosing(chunks):
                    async for chunk in chunks:
                        received += chunk
                        if len(received) > self._longest_body:
                            break
        except (httpx.HTTPError, aiohttp.ClientError, TimeoutError, *_NO_SUCH_HOST) as error:
            if response is None:
                return _no_reply(error)
        return Reply(response.status_code, _plain(response.headers), bytes(received[: self._longest_body]))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self._tls,
            limit=self._max_connections,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            socket_factory=self._open_socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            skip_auto_headers=("Content-Type",),  # an update has no body: no "octet-stream" for a gateway to refuse
            middlewares=(_once,),
        )


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """No request leaves without its own permit.

    On a kept-alive connection that the server dropped, aiohttp silently sends GET and DELETE again (RFC 9112 §9.3.1
    allows it). It has no option against that, but retries on these exceptions only: under another name they pass.
    It also keeps httpx-aiohttp from calling them ``httpx.ConnectTimeout``, as if nothing had left.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionLostError(str(error)) from error


@cache
def _tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Reading all authorities of the system costs tens of milliseconds: once a process, not once a remote."""
    return ssl.create_default_context(cafile=ca_bundle)


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """By lower-case name; of a repeated field the last one counts."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers.raw}


def _no_reply(error: Exception) -> NoReply:
    """httpx-aiohttp's names mislead (a broken connection is a `ConnectTimeout`): aiohttp's own exception decides."""
    origin = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ else error
    left = not isinstance(origin, _NEVER_LEFT)
    what = "no usable answer" if left else "not sent"
    return NoReply(left, one_line(f"{what}: {type(origin).__name__}: {str(origin) or 'out of time'}"))
