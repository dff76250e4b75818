"""A remote that answers 503 to everything for a while: what it is asked meanwhile, and how soon all is as before."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from threading import Event

from celery import Celery

from benchmarks.children import Child, children, python
from benchmarks.figures import OURS, Better, Column, Table, gathered
from benchmarks.mixed import wishes
from benchmarks.scale import Scale
from benchmarks.site import Site, plain_url
from benchmarks.throughput.outcomes import prepared
from benchmarks.throughput.place import READY, Place
from benchmarks.throughput.updates import Update
from tests.acceptance.installation import Config, Installation, installed, wait_until
from tests.acceptance.remote import Remote

FULL_SPEED = 0.9  # of the limit, over a second
AFTERWARDS = 20  # seconds of work that is left when the outage ends, if none was lost to it
LONGEST = 600.0
ALL_UNAVAILABLE = [{"match": {"path": "/v1/*"}, "fault": {"kind": "status", "status": 503}}]
REQUESTS, PER_TRY, SPEED, ENDED = "requests in the outage", "requests/first try", "s to full speed", "s to the end"
COLUMNS = (
    Column(PER_TRY, 2, Better.LESS),
    Column(REQUESTS),
    Column(SPEED, 1, Better.LESS),
    Column(ENDED, 1, Better.LESS),
)
PER_SECOND = 200  # is allowed
RETRYING = "Celery, autoretry"
NOTES = {
    OURS: "two workers of two processes",
    RETRYING: "two processes; autoretry_for with backoff up to a minute, jitter and no end; without a limit",
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """``hand_in`` so many updates; ``ended`` says whether all are done."""

    hand_in: Callable[[int], None]
    ended: Callable[[], bool]


Start = Callable[[Site, Installation, str], AbstractContextManager[Fleet]]


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    lasts = 3 * scale.seconds
    contenders = {OURS: _ours, RETRYING: _celery}
    wanted = {name: start for name, start in contenders.items() if scale.wants(name)}
    done = [{name: _suffered(site, start, lasts) for name, start in wanted.items()} for _ in range(scale.rounds)]
    yield Table(
        "outage",
        f"An outage of {lasts} seconds",
        f"{PER_SECOND} requests a second are allowed, {AFTERWARDS} seconds of work wait; every request of the outage is"
        f" answered with 503; full speed is a second with {FULL_SPEED:.0%} of the limit",
        COLUMNS,
        [replace(row, note=NOTES[row.name]) for row in gathered(list(wanted), done)],
    )


def _suffered(site: Site, start: Start, lasts: float) -> dict[str, float]:
    site.broker.flush()
    with site.database("SQLite") as database:
        config = Config(database, f"{PER_SECOND}/second")
        with installed(config, site.folder, site.broker) as installation, start(site, installation, database) as fleet:
            return _watched(installation.remote, fleet, lasts)


def _watched(remote: Remote, fleet: Fleet, lasts: float) -> dict[str, float]:
    fleet.hand_in(PER_SECOND * (AFTERWARDS + 2))
    wait_until(lambda: len(remote.arrivals()) > PER_SECOND, "work is going on", seconds=60)
    remote.script(ALL_UNAVAILABLE)
    began = time.monotonic()
    Event().wait(lasts)
    remote.script([])
    again = time.monotonic()
    wait_until(fleet.ended, "all updates have ended", seconds=LONGEST)
    took = time.monotonic() - again
    arrivals = remote.arrivals()
    asked = [one for one in arrivals if began <= one.at < again]
    return {
        REQUESTS: len(asked),
        PER_TRY: len(asked) / max(1, len({one.name for one in asked})),
        SPEED: _full_speed_after([one.at for one in arrivals if one.at >= again], again),
        ENDED: took,
    }


def _full_speed_after(arrivals: Sequence[float], again: float) -> float:
    """Seconds to the begin of the first second that holds as many; to the last arrival, if none does."""
    many = round(FULL_SPEED * PER_SECOND)
    ordered = sorted(arrivals)
    found = (at for at, later in zip(ordered, ordered[many - 1 :], strict=False) if later - at < 1)
    return next(found, ordered[-1]) - again


@contextmanager
def _ours(_: Site, installation: Installation, __: str) -> Iterator[Fleet]:
    installation.start_all()
    batches: list[int] = []
    yield Fleet(
        lambda count: batches.append(installation.accept(wishes(0, count, 22.0))), lambda: installation.ended(*batches)
    )


@contextmanager
def _celery(site: Site, installation: Installation, database: str) -> Iterator[Fleet]:
    place = Place(site.broker.url, plain_url(database), installation.url)
    module = "benchmarks.outage.celery_retrying"
    command = python("celery", "-A", module, "worker", "--concurrency", "2", "--loglevel", "warning")
    handed_in = 0

    def hand_in(count: int) -> None:
        nonlocal handed_in
        handed_in = count
        with Celery(broker=place.broker, set_as_current=False) as app:
            for wish in wishes(0, count, 22.0):
                update = Update(**{field.name: getattr(wish, field.name) for field in fields(Update)})
                app.send_task(f"{module}.send", [asdict(update)], ignore_result=True)

    with prepared(place.database) as looking:
        worker = Child("celery", command, READY, env=place.as_environment())
        with children([worker], site.folder):
            count = "SELECT count(*) FROM outcomes"
            yield Fleet(hand_in, lambda: looking.execute(count).fetchone()[0] == handed_in)
