"""What the tests of the webhooks share: endpoints, what was told to them, things that happen; receivers and deliverers.

Run as a program it is one deliverer.
"""

import asyncio
import itertools
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from pydantic import SecretStr
from sqlalchemy import func, select, update
from sqlmodel import col

from api_adapter.transport import Timeouts
from worker.clock import uniform, utc_now
from worker.core.endpoint_filter import EndpointFilter
from worker.core.events import Event, of_quarantine
from worker.store import endpoints, outbox
from worker.store.deliveries import Sender
from worker.store.endpoints import NewEndpoint
from worker.store.engine import Database
from worker.store.tables import deliveries
from worker.store.tables import endpoints as endpoint_table
from worker.store.webhook_models import Delivery, DeliveryAttempt, Endpoint, WebhookMessage
from worker.webhooks import signing
from worker.webhooks.address import AddressGuard, parse_networks
from worker.webhooks.courier import Means, Timing
from worker.webhooks.deliverer import Deliverer
from worker.webhooks.post import Poster
from worker.webhooks.sealing import Sealer

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SECRET = signing.new_secret("v1", lambda count: b"s" * count)
SEALER = Sealer(SecretStr("a key of the tests"))
_HAPPENINGS = itertools.count(1)


def make_endpoint(
    store: Database,
    name: str = "ep_1",
    url: str = "https://example.com/",
    *,
    asks: EndpointFilter | None = None,
    **said: Any,
) -> str:
    """An endpoint that is told everything, unless it ``asks`` for less."""
    defaults: dict[str, Any] = {"description": None, "ordered": False, "rate_limit": None, "concurrency": 10}
    new = NewEndpoint(
        id=name, url=url, filter=asks or EndpointFilter(), kind="v1", sealed=SEALER.seal(SECRET), **(defaults | said)
    )
    with store.write() as session:
        endpoints.create(session, new)
    return name


def endpoint(store: Database, name: str = "ep_1") -> Endpoint:
    with store.read() as session:
        return session.get_one(Endpoint, name)


def set_endpoint(store: Database, name: str = "ep_1", **values: Any) -> None:
    """Write the state that time, a person or a crash leaves."""
    with store.write() as session:
        session.execute(update(endpoint_table).where(endpoint_table.c.id == name).values(**values))


def messages(store: Database) -> list[WebhookMessage]:
    with store.read() as session:
        return list(session.execute(select(WebhookMessage).order_by(col(WebhookMessage.seq))).scalars())


def bodies(store: Database) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in messages(store)]


def types(store: Database) -> list[str]:
    return [one.type for one in messages(store)]


def deliveries_of(store: Database, name: str | None = None) -> list[Delivery]:
    """In the order in which they were made."""
    query = select(Delivery).order_by(col(Delivery.id))
    with store.read() as session:
        return list(session.execute(query.where(col(Delivery.endpoint_id) == name) if name else query).scalars())


def states(store: Database, name: str | None = None) -> list[str]:
    return [one.state for one in deliveries_of(store, name)]


def attempts_of(store: Database) -> list[DeliveryAttempt]:
    with store.read() as session:
        return list(session.execute(select(DeliveryAttempt).order_by(col(DeliveryAttempt.id))).scalars())


def left(store: Database) -> int:
    """How many deliveries are still to be made."""
    with store.read() as session:
        query = select(func.count()).select_from(deliveries).where(deliveries.c.state == outbox.PENDING)
        return int(session.execute(query).scalar_one())


def make_due(store: Database, ids: Collection[int] | None = None) -> None:
    """Every wait of what is pending is over."""
    statement = update(deliveries).where(deliveries.c.state == outbox.PENDING).values(due_at=LONG_AGO)
    with store.write() as session:
        session.execute(statement if ids is None else statement.where(deliveries.c.id.in_(ids)))


def happening(resource: object = None) -> Event:
    """Something that has not happened before; about ``resource``, where one is named."""
    event = of_quarantine(f"remote-{next(_HAPPENINGS)}", "down", LONG_AGO)
    return Event(event.type, event.key, event.data, resource=None if resource is None else str(resource))


def tell(store: Database, *events: Event) -> None:
    with store.write() as session:
        outbox.tell(session, events)


def tell_some(store: Database, count: int) -> list[int]:
    """So many happenings; returns the new deliveries."""
    before = {one.id for one in deliveries_of(store)}
    tell(store, *(happening(number) for number in range(count)))
    return [one.id for one in deliveries_of(store) if one.id not in before]


# Receivers


@dataclass(frozen=True, slots=True)
class Got:
    """One request as it came, ``at`` a monotonic second. ``beside``: how many more of its path were under way."""

    path: str
    at: float
    headers: Mapping[str, str]
    body: bytes
    beside: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["data"]
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """Once it is ``ready``, and after ``delay`` seconds, this; ``cut``: the connection ends instead."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False
    ready: Callable[[], bool] = lambda: True


FINE, HANGS = Answer(), Answer(delay=60)
Script = Callable[[Got], Answer]


@dataclass(slots=True)
class Receiver:
    """An HTTP server in a thread of its own: each path is an endpoint, and answers as its script says."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    scripts: dict[str, Script] = field(default_factory=dict)
    under_way: Counter[str] = field(default_factory=Counter)

    def at(self, path: str) -> list[Got]:
        return [one for one in self.got if one.path == path]

    def ids(self, path: str = "a") -> list[str]:
        return [one.id for one in self.at(path)]

    async def answer(self, request: web.Request) -> web.Response:
        path, body = request.path.strip("/"), await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        got = Got(path, time.monotonic(), headers, body, self.under_way[path])
        self.got.append(got)
        self.under_way[path] += 1
        try:
            answer = self.scripts.get(path, lambda _: FINE)(got)
            while not answer.ready():  # noqa: ASYNC110 - another thread says so
                await asyncio.sleep(0.005)
            await asyncio.sleep(answer.delay)
        finally:
            self.under_way[path] -= 1
        if answer.cut and request.transport:
            request.transport.abort()
        return web.Response(status=answer.status, headers=answer.headers)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        app = web.Application()
        app.router.add_post("/{path}", receiver.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="receiver", daemon=True)
    thread.start()
    loop, stop = started.result(timeout=90)
    try:
        yield receiver
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=90)


def make(store: Database, receiver: Receiver, path: str = "a", **said: Any) -> str:
    """An endpoint at one of the receiver's paths."""
    return make_endpoint(store, f"ep_{path}", f"{receiver.url}/{path}", **said)


# Deliverers

QUICK = Timing(
    lease=2.0,
    renewed_every=0.2,
    looks_every=0.02,
    request=1.0,
    slack=0.3, group=0.02, idle=0.02, leaves_after=0.3,
    stops_within=1.0,
)  # fmt: skip
PATIENT = replace(QUICK, lease=120.0, request=60.0, stops_within=60.0)  # no slowness of the machine looks like a hang
LOOPBACK = AddressGuard(parse_networks(["127.0.0.0/8"]))


@asynccontextmanager
async def delivering(
    store: Database,
    name: str = "one",
    timing: Timing = QUICK,
    guard: AddressGuard = LOOPBACK,
    poster: Poster | None = None,
) -> AsyncIterator[asyncio.Event]:
    """A deliverer at work in this process while the block runs; then, or when the event is set, it is stopped."""
    stop = asyncio.Event()
    timeouts = Timeouts(connect=1.0, acquire=1.0, read=timing.request, total=timing.request)
    poster = poster or Poster(guard, timeouts)
    means = Means(store, poster, Sender(name, uniform), utc_now, timing)
    running = asyncio.create_task(Deliverer(means, SEALER).run(stop))
    try:
        yield stop
    finally:
        stop.set()
        try:
            await running
        finally:
            await poster.aclose()


async def until(ready: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Poll ``ready``, off the loop."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(ready):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)


def deliver(store: Database, ready: Callable[[], bool], what: str, **how: Any) -> None:
    """Run a deliverer until it has come to this."""

    async def run() -> None:
        async with delivering(store, **how):
            await until(ready, what)

    asyncio.run(run())


def deliver_all(store: Database, **how: Any) -> None:
    deliver(store, lambda: left(store) == 0, "all is delivered", **how)


async def _main(url: str, name: str, lease: str) -> None:
    """A deliverer as a process of its own, until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    database = Database(url)
    async with delivering(database, name, replace(QUICK, lease=float(lease))) as done:
        await stop.wait()
        done.set()
    database.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
