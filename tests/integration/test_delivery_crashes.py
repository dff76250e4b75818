"""A deliverer dies at each of its commits in turn, just before it and just after it; then another one goes on.

Each message reaches the endpoint under one id: once, or once more where the process died before it had recorded that.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

from aiohttp import web
from pydantic import SecretStr
from sqlalchemy import func, select, update

from schemas.webhooks import EventType
from tests.integration import store_rig
from tests.integration.mortal import Died, Mortal, deaths
from tests.integration.store_rig import settle
from tests.services.stores import empty
from worker.clock import utc_now
from worker.core.endpoint_filter import EndpointFilter
from worker.store import endpoints
from worker.store.deliveries import Sender
from worker.store.endpoints import NewEndpoint
from worker.store.engine import Database
from worker.store.outbox import DELIVERED
from worker.store.tables import deliveries, messages
from worker.store.tables import endpoints as endpoint_table
from worker.webhooks import signing
from worker.webhooks.address import AddressGuard
from worker.webhooks.courier import Means
from worker.webhooks.deliverer import Deliverer
from worker.webhooks.post import Poster
from worker.webhooks.sealing import Sealer

SEALER = Sealer(SecretStr("a key of the tests"))
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
OUTCOMES = 3


@asynccontextmanager
async def receiver(got: list[str]) -> AsyncIterator[str]:
    """Its url; ``got`` is extended by the id of each request."""

    async def answer(request: web.Request) -> web.Response:
        got.append(request.headers["webhook-id"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def deliver(store: Database, name: str, reached_through: Database) -> None:
    """Until it dies, or nothing is left to send."""
    stop = asyncio.Event()
    poster = Poster(AddressGuard((ip_network("127.0.0.1"),)))
    means = Means(reached_through, poster, Sender(name, lambda: 0.0), utc_now)
    process = asyncio.create_task(Deliverer(means, SEALER).run(stop))
    try:
        async with asyncio.timeout(30):
            while not process.done() and _pending(store):
                await asyncio.wait((process,), timeout=0.02)
            stop.set()
            await process
    finally:
        await poster.aclose()


def _pending(store: Database) -> int:
    with store.read() as session:
        query = select(func.count()).select_from(deliveries).where(deliveries.c.state != DELIVERED)
        return int(session.execute(query).scalar_one())


async def _scene(store: Database, mortal: Mortal) -> bool:
    got: list[str] = []
    async with receiver(got) as url:
        secret = SEALER.seal(signing.new_secret("v1", lambda count: b"s" * count))
        only = EndpointFilter(types=frozenset({EventType.TARGET_UPDATED}))
        new = NewEndpoint(
            "ep_1", url, None, only, ordered=True, rate_limit=None, concurrency=10, kind="v1", sealed=secret
        )
        with store.write() as session:
            endpoints.create(session, new)
        settle(store, *(store_rig.wish(number) for number in range(OUTCOMES)))
        with suppress(Died):
            await deliver(store, "of the dead", mortal)
        _let_its_lease_end(store)
        await deliver(store, "of the living", store)
    with store.read() as session:
        told = set(session.execute(select(messages.c.id)).scalars())
        rows: Any = session.execute(select(deliveries.c.state, deliveries.c.attempts)).all()
    assert len(told) == OUTCOMES
    assert set(got) == told
    assert set(Counter(got).values()) <= {1, 2}
    assert {tuple(row) for row in rows} == {(DELIVERED, 1)}, "what was recorded is sent no second time"
    return mortal.dead


def _let_its_lease_end(store: Database) -> None:
    with store.write() as session:
        session.execute(update(endpoint_table).values(owner_until=LONG_AGO))


def test_a_deliverer_dies_at_each_commit_and_each_message_arrives_under_one_id(store: Database) -> None:
    died = 0
    for mortal in deaths(store):
        died += asyncio.run(_scene(store, mortal))
        empty(store)
    assert died >= 2 * 3, "the endpoint taken, the answers recorded, the endpoint given back"
