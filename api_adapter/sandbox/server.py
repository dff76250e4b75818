"""The sandbox on a socket of this machine: start, serve, stop."""

import asyncio
import contextlib
import ipaddress
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDict

from api_adapter.sandbox.admin import ADMIN_PREFIX, administer
from api_adapter.sandbox.answers import Answer, Cut
from api_adapter.sandbox.api import Call, Clock, CoachingApi
from api_adapter.sandbox.errors import CannotListenError, NotLoopbackError
from api_adapter.sandbox.faults import Faults
from api_adapter.sandbox.ledger import Ledger
from api_adapter.sandbox.options import SandboxOptions
from api_adapter.sandbox.state import State

_SHUTDOWN_SECONDS = 1.0
_BACKLOG = 1024


def wall_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the sandbox is a server of its own: this is its composition root


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """``url`` has no slash at its end. What the properties give is replaced by a reset: ask anew."""

    url: str
    api: CoachingApi

    @property
    def ledger(self) -> Ledger:
        return self.api.ledger

    @property
    def state(self) -> State:
        return self.api.state

    @property
    def faults(self) -> Faults:
        return self.api.faults


@asynccontextmanager
async def running_sandbox(
    options: SandboxOptions = SandboxOptions(),  # noqa: B008 - frozen
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock = wall_clock,
) -> AsyncIterator[RunningSandbox]:
    """Listens as long as the block runs; port 0 takes any free one. Raises ``SandboxError`` before it listens."""
    _check_loopback(host)
    api = CoachingApi(options, clock=clock, draw_token=lambda: secrets.token_urlsafe(24))
    runner = web.ServerRunner(web.Server(_handler(api), access_log=None), shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await _listen(runner, host, port)
        yield RunningSandbox(_url(runner.addresses[0]), api)
    finally:
        await runner.cleanup()


async def _listen(runner: web.ServerRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
    except OSError as error:
        why = error.strerror if error.errno is None else os.strerror(error.errno)
        found = f"the sandbox cannot listen on {host}, port {port}: {why}"
        raise CannotListenError(f"{found}; stop who does, or name another port") from error


async def serve(host: str, port: int, options: SandboxOptions, *, on_ready: Callable[[str], None]) -> None:
    """Serve until cancelled; ``on_ready`` is told the URL once the sandbox listens."""
    async with running_sandbox(options, host=host, port=port) as sandbox:
        on_ready(sandbox.url)
        await asyncio.Event().wait()


def run(host: str, port: int, options: SandboxOptions, *, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then stop cleanly. Raises ``SandboxError`` before it listens."""
    asyncio.run(_serve_until_signalled(host, port, options, on_ready))


async def _serve_until_signalled(
    host: str, port: int, options: SandboxOptions, on_ready: Callable[[str], None]
) -> None:
    serving = asyncio.create_task(serve(host, port, options, on_ready=on_ready))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _check_loopback(host: str) -> None:
    # ours: the sandbox lets anyone script it, so nobody but this machine may reach it
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise NotLoopbackError(
            f"the sandbox serves this machine only: {host!r} is no loopback address (127.0.0.1, ::1)"
        )


def _url(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _handler(api: CoachingApi) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read() if request.can_read_body else b""
        call = _call(request, body)
        if call.path.startswith(ADMIN_PREFIX):
            return await _write(request, administer(api, call))
        return await _write(request, await api.answer(call))

    return handle


def _call(request: web.BaseRequest, body: bytes) -> Call:
    url, headers = request.rel_url, request.headers
    raw_path = url.raw_path
    return Call(
        method=request.method,
        path=unquote(raw_path) if "%" in raw_path else raw_path,
        query=url.raw_query_string,
        body=body,
        authorization=headers.get("Authorization", ""),
        idempotency_key=headers.get("Idempotency-Key"),
        request_id=headers.get("X-Request-Id", ""),
    )


async def _write(request: web.BaseRequest, answer: Answer | Cut) -> web.StreamResponse:
    if isinstance(answer, Cut):
        if request.transport:
            request.transport.abort()
        return web.Response()  # goes nowhere
    headers = CIMultiDict(answer.headers)
    headers.setdefault("Content-Type", answer.content_type)
    if not answer.pause:
        return web.Response(body=answer.body, status=answer.status, headers=headers)
    return await _write_slowly(request, answer, headers)


async def _write_slowly(request: web.BaseRequest, answer: Answer, headers: CIMultiDict[str]) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(answer.body)
    half = len(answer.body) // 2
    with contextlib.suppress(ConnectionError):  # the caller may have given up
        await response.prepare(request)
        await response.write(answer.body[:half])
        await asyncio.sleep(answer.pause)
        await response.write(answer.body[half:])
        await response.write_eof()
    return response
