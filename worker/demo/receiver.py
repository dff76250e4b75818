"""The demo's outside world: a receiver on this machine that verifies all it gets, and turns a few away at first."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler

from worker.clock import utc_now
from worker.webhooks.listener import Listener, Received
from worker.webhooks.signing import ID, Verifier

TURNED_AWAY = 3  # messages, once each


@dataclass(slots=True)
class View:
    """What the receiver has seen: verified messages by type, how many came twice, and what it has turned away."""

    url: str = ""
    types: Counter[str] = field(default_factory=Counter)
    again: int = 0
    not_verified: int = 0
    turned_away: set[str] = field(default_factory=set)

    def take(self, received: Received) -> None:
        if received.again:
            self.again += 1
        else:
            self.types[json.loads(received.body)["type"]] += 1

    def refuse(self, _why: str) -> None:
        self.not_verified += 1


@contextmanager
def receiving(secret: str) -> Iterator[View]:
    """Listen on loopback, in a thread of its own, while the block runs."""
    view = View()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        runner = web.AppRunner(_app(view, secret), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            view.url = f"http://{host}:{port}/"
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()
        finally:
            await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="receiver", daemon=True)
    thread.start()
    loop, stop = started.result(timeout=10)
    try:
        yield view
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def _app(view: View, secret: str) -> web.Application:
    app = Listener([Verifier(secret)], lambda: utc_now().timestamp(), view.take, view.refuse).app()

    @web.middleware
    async def busy_at_first(request: web.Request, handler: Handler) -> web.StreamResponse:
        message = request.headers.get(ID, "")
        if message not in view.turned_away and len(view.turned_away) < TURNED_AWAY:
            view.turned_away.add(message)
            return web.Response(status=503)
        return await handler(request)

    app.middlewares.append(busy_at_first)
    return app
