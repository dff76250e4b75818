"""Five receivers, as they are in the world: one that works, one slow, one that fails half of the time, one that hangs,
one that is gone. They answer by the path; what the working one gets is kept, with its headers.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiohttp import web
from standardwebhooks import Webhook

from worker.clock import utc_now

HEALTHY, SLOW, FAILING, HANGING, GONE = "healthy", "slow", "failing", "hanging", "gone"
SLOWNESS = 0.2
HANGS = 25.0  # past any request's time
TOLERANCE = timedelta(minutes=5)  # of the official library


@dataclass(frozen=True, slots=True)
class Got:
    """One request as it came."""

    headers: Mapping[str, str]
    body: bytes
    at: datetime

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def signatures(self) -> list[str]:
        return self.headers["webhook-signature"].split(" ")

    def verifies(self, secret: str) -> bool:
        """As the official library said when it came: what is looked at later may be older than it takes."""
        signed_at = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
        signature = Webhook(secret).sign(self.id, signed_at, self.body.decode())
        return signature in self.signatures and abs(self.at - signed_at) < TOLERANCE


@dataclass
class Receivers:
    """``got`` is what the healthy one got, in its order; ``requests`` counts by path."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    ids: dict[str, set[str]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: web.Request) -> web.Response:
        path, message = request.path.strip("/"), request.headers["webhook-id"]
        self.requests[path] += 1
        body = await request.read()
        if path == HEALTHY:
            self.got.append(Got({name.lower(): value for name, value in request.headers.items()}, body, utc_now()))
        elif path == SLOW:
            await asyncio.sleep(SLOWNESS)
        elif path == HANGING:
            await asyncio.sleep(HANGS)
        elif path == GONE:
            return web.Response(status=410)
        elif int(message[-1], 16) % 2 and message not in self.ids.setdefault(path, set()):
            self.ids[path].add(message)
            return web.Response(status=500, text="not now")
        return web.Response(status=204)


@contextmanager
def receivers() -> Iterator[Receivers]:
    those = Receivers()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        app = web.Application()
        app.router.add_post("/{path}", those.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        those.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    loop, stop = started.result(timeout=90)
    try:
        yield those
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
