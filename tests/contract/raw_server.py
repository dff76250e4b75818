"""A server that says the bytes it is told to and keeps the bytes it got: for what the sandbox lacks."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Act = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RawRequest:
    head: str
    body: bytes

    @property
    def target(self) -> str:
        """Method and request-target, as they came over the wire."""
        return self.head.partition(" HTTP/1.1")[0]

    @property
    def headers(self) -> dict[str, str]:
        lines = (line.partition(": ") for line in self.head.split("\r\n")[1:])
        return {name.lower(): value for name, _, value in lines}


@dataclass(slots=True)
class RawServer:
    """Plays its script one request after the other; the last entry is for all further ones."""

    script: tuple[bytes | Act, ...]
    requests: list[RawRequest] = field(default_factory=list)
    connections: int = 0
    url: str = ""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):  # stop() cancels
                await self._converse(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").removesuffix("\r\n\r\n")
            request = RawRequest(head, b"")
            body = await reader.readexactly(int(request.headers.get("content-length", "0")))
            step = self.script[min(len(self.requests), len(self.script) - 1)]
            self.requests.append(RawRequest(head, body))
            self.arrived.set()
            if isinstance(step, bytes):
                writer.write(step)
            else:
                await step(writer)
            if writer.is_closing():
                return

    async def stop(self) -> None:
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


@asynccontextmanager
async def raw_server(*script: bytes | Act, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    raw = RawServer(script)
    async with await asyncio.start_server(raw.serve, "127.0.0.1", 0, ssl=tls) as server:
        scheme, port = "https" if tls else "http", server.sockets[0].getsockname()[1]
        raw.url = f"{scheme}://{'localhost' if tls else '127.0.0.1'}:{port}"
        yield raw
        await raw.stop()


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Some Phrase", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def cut(writer: asyncio.StreamWriter) -> None:
    """A reset, as a crashed gateway gives it."""
    transport = writer.transport
    transport.abort()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """A clean end, as a server gives it that is tired of an idle connection."""
    writer.close()


async def say_nothing(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def drip(*parts: bytes, pause: float) -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return act
