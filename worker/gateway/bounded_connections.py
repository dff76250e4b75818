"""Uvicorn's HTTP protocol, with an end to how long a request may be on its way: its parser and its server know none."""

import asyncio
from datetime import timedelta

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES = 64 << 10  # of a head, and what the system gives us at once


class BoundedConnections(HttpToolsProtocol):
    """Who sends a head past its bounds, or falls silent within a body, is cut off: nobody of good will does."""

    head_within = timedelta(seconds=30)
    silent_for = timedelta(seconds=60)

    _head_bytes = 0  # of a head that is not whole yet
    _head_since: float | None = None  # when it was begun, or waited for at first
    _in_body = False
    _heard_at = 0.0
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_since = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_bytes > MOST_BYTES:
            self.send_400_response("The head of the request is too long.")
            return
        self._heard_at = self.loop.time()
        if not self._in_body:
            self._head_bytes += len(data)
            self._head_since = self._head_since or self._heard_at
        super().data_received(data)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head_bytes, self._head_since, self._in_body = 0, None, True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body = False

    def _look(self) -> None:
        """Now and then: a timer for each request would cost more than all else here."""
        if self._is_late() and not self.flow.read_paused:  # else it is we who do not read
            self.transport.abort()
            return
        often = min(self.head_within, self.silent_for).total_seconds() / 4
        self._watch = self.loop.call_later(often, self._look)

    def _is_late(self) -> bool:
        now = self.loop.time()
        if self._in_body:
            return now - self._heard_at > self.silent_for.total_seconds()
        return self._head_since is not None and now - self._head_since > self.head_within.total_seconds()
