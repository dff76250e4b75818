"""How fast messages are delivered, what one receiver that hangs costs another, and the memory of a backlog.

One `coachsync webhooks deliver` on SQLite against a receiver in a process of its own, beside a bare loop that signs and
posts the same bodies on the same transport, as many at once, and keeps nothing. All in this run, in turn, the medians
of several rounds: trust the ratios.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.figures import OURS, Better, Column, Table, gathered
from benchmarks.process_tree import pss_megabytes
from benchmarks.scale import Scale
from benchmarks.site import Site
from schemas.webhooks import EventType, RemoteQuarantined
from worker.clock import utc_now
from worker.configuration.settings import load_settings
from worker.core.endpoint_filter import EndpointFilter
from worker.core.events import Event
from worker.store import endpoints, outbox, schema
from worker.store.endpoints import NewEndpoint
from worker.store.engine import Database
from worker.store.tables import deliveries
from worker.webhooks import signing
from worker.webhooks.address import AddressGuard, parse_networks
from worker.webhooks.post import Poster
from worker.webhooks.setup import sealer_of

RATE, MEMORY, AMID = "messages/s", "memory, MB", "amid a backlog"
COLUMNS = (Column(RATE, better=Better.MORE), Column(MEMORY))
AT_ONCE = 50
PAGE = 500
KEY = signing.new_secret("v1", os.urandom)
SETTINGS = '[webhooks]\nallow_http = true\nallow = ["127.0.0.1"]\n'
RECEIVER = """
import asyncio, sys
from aiohttp import web
async def answer(request):
    await request.read()
    if request.path == "/hang":
        await asyncio.sleep(60)
    return web.Response(status=204)
async def main():
    app = web.Application()
    app.router.add_post("/{path}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@contextmanager
def receiver() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", RECEIVER], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


def events(count: int) -> list[Event]:
    """Messages of a usual size; where nothing has happened, quarantines are as good as any."""
    data = RemoteQuarantined(remote="default", reason="x" * 400, since=utc_now())
    return [Event(EventType.REMOTE_QUARANTINED, str(number), data) for number in range(count)]


def fill(folder: Path, urls: list[str], count: int) -> Database:
    (folder / "coachsync.toml").write_text(SETTINGS)
    settings = load_settings({"COACHSYNC_HOME": str(folder)}, cwd=folder)
    database = Database(settings.database_url.get_secret_value())
    schema.upgrade(database)
    sealed = sealer_of(settings).seal(KEY)
    with database.write() as session:
        for number, url in enumerate(urls):
            new = NewEndpoint(
                id=f"ep_{number}",
                url=url,
                description=None,
                filter=EndpointFilter(),
                ordered=False,
                rate_limit=None,
                concurrency=AT_ONCE,
                kind="v1",
                sealed=sealed,
            )
            endpoints.create(session, new)
    told = events(count)
    for start in range(0, count, PAGE):
        with database.write() as session:
            outbox.tell(session, told[start : start + PAGE])
    return database


@contextmanager
def deliverer(folder: Path) -> Iterator[int]:
    environ = {"COACHSYNC_HOME": str(folder)}
    command = [sys.executable, "-m", "worker.cli", "webhooks", "deliver"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, cwd=folder, stderr=log)  # noqa: S603 - our own command
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def delivered(database: Database, endpoint: str) -> int:
    with database.read() as session:
        done = select(func.count()).where(deliveries.c.endpoint_id == endpoint, deliveries.c.state == outbox.DELIVERED)
        return int(session.execute(done).scalar_one())


def rate(database: Database, count: int) -> float:
    """Messages a second to the first endpoint, from the first that arrives to the last."""
    while not (first := delivered(database, "ep_0")):
        time.sleep(0.05)  # noqa: TID251 - a benchmark looks from outside
    started = time.perf_counter()
    while (now := delivered(database, "ep_0")) < count:
        time.sleep(0.05)  # noqa: TID251 - as above
    return (now - first) / (time.perf_counter() - started)


def ours(urls: list[str], count: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        database = fill(Path(name), urls, count)
        with deliverer(Path(name)):
            measured = rate(database, count)
        database.close()
    return measured


async def bare(url: str, count: int) -> float:
    bodies = [event.data.model_dump_json().encode() for event in events(count)]
    gate, poster = asyncio.Semaphore(AT_ONCE), Poster(AddressGuard(parse_networks(["127.0.0.1"])))

    async def post(number: int, body: bytes) -> None:
        async with gate:
            now = utc_now()
            reply = await poster.post(
                url, signing.headers([KEY], f"msg_{number}", int(now.timestamp()), body), body, now
            )
            assert reply.succeeded

    started = time.perf_counter()
    await asyncio.gather(*(post(number, body) for number, body in enumerate(bodies)))
    took = time.perf_counter() - started
    await poster.aclose()
    return count / took


def memory(count: int, url: str) -> float:
    """MB that a deliverer has for itself, a few seconds into its work."""
    with tempfile.TemporaryDirectory() as name:
        database = fill(Path(name), [url], count)
        with deliverer(Path(name)) as pid:
            while not delivered(database, "ep_0"):
                time.sleep(0.1)  # noqa: TID251 - as above
            time.sleep(5)  # noqa: TID251 - as above
            megabytes = pss_megabytes([pid])
        database.close()
    return megabytes


def measure(_: Site, scale: Scale) -> Iterator[Table]:
    with receiver() as url:
        done = []
        for _ in range(scale.rounds):
            alone = ours([f"{url}/a"], scale.messages)
            done.append(
                {
                    OURS: {RATE: alone},
                    "bare loop": {RATE: asyncio.run(bare(f"{url}/b", scale.messages))},
                    "beside one that works too": {RATE: ours([f"{url}/a", f"{url}/c"], scale.messages)},
                    "beside one that hangs": {RATE: ours([f"{url}/a", f"{url}/hang"], scale.messages)},
                }
            )
        done[-1][OURS][MEMORY] = memory(1, f"{url}/a")
        done[-1][AMID] = {MEMORY: memory(scale.backlog, f"{url}/a")}
    names = list(done[-1])
    notes = {"bare loop": "a ceiling: the same transport, nothing recorded", AMID: f"{scale.backlog:,} messages wait"}
    rows = [replace(row, note=notes.get(row.name, "")) for row in gathered(names, done)]
    setting = "one `coachsync webhooks deliver` on SQLite, a receiver that answers at once, each message recorded"
    yield Table("webhooks", "Webhooks", setting, COLUMNS, rows)
