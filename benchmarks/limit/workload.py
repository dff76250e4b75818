"""One limit for a fleet: how much of it is used while work waits, and how often it is broken, counted at the remote."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Event

from celery import Celery

from benchmarks.children import Child, children, python
from benchmarks.figures import OURS, Better, Column, Table, gathered
from benchmarks.limit.asker import READY as ASKS
from benchmarks.limit.fleet_table import fleet_table
from benchmarks.limit.windows import over_the_limit
from benchmarks.remote import Remote, running_remote
from benchmarks.scale import Scale
from benchmarks.site import Site
from benchmarks.throughput.place import READY, Place
from benchmarks.throughput.updates import updates
from tests.services.fleet import most_within

LIMIT = 100  # a second
LATENCY = 0.005
SECOND = timedelta(seconds=1)
SETTLING = 4.0  # seconds until a fleet works evenly: a limiter without memory waits, and then there are bursts
USED, MOST, BROKEN = "used", f"most in a second of {LIMIT}", "windows over the limit"
COLUMNS = (Column(USED, 1, Better.MORE, share=True), Column(MOST), Column(BROKEN, 1, share=True))


@dataclass(frozen=True, slots=True)
class Contender:
    """``gate`` is its module's function, ``rate`` what each of so many Celery workers is told."""

    name: str
    gate: str = ""
    divided: bool = False
    note: str = ""


CONTENDERS = (
    Contender(OURS, "ours"),
    Contender("limits", "limits", note="moving window on Redis, asked again every 10 ms"),
    Contender("pyrate-limiter", "pyrate_limiter", note="bucket on Redis, waits by itself"),
    Contender("Celery rate_limit", note="the limit given to each worker: it knows nothing of the others"),
    Contender("Celery rate_limit, divided", divided=True, note="the limit divided by the number of workers"),
)


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    wanted = [one for one in CONTENDERS if scale.wants(one.name)]
    with running_remote(site.folder, LATENCY) as remote:
        for processes in scale.processes:
            done = [
                {one.name: _measured(one, site, remote, processes, scale.seconds) for one in wanted}
                for _ in range(scale.rounds)
            ]
            notes = {one.name: one.note for one in wanted}
            yield Table(
                f"limit-{processes}",
                f"A limit of {LIMIT} a second, {processes} processes",
                f"while work waited, of requests that take {LATENCY * 1000:g} ms; every window of a second that ends"
                " with a request is looked at",
                COLUMNS,
                [replace(row, note=notes[row.name]) for row in gathered(list(notes), done)],
            )
    yield fleet_table(site, scale)


def _measured(one: Contender, site: Site, remote: Remote, processes: int, seconds: float) -> dict[str, float]:
    site.broker.flush()
    place = Place(site.broker.url, "", remote.url)
    programs = _askers(one, place, processes, seconds) if one.gate else _celery(one, place, processes, seconds)
    with children(programs, site.folder):
        begun = time.monotonic() + SETTLING
        remote.reset()
        Event().wait(SETTLING + seconds)
        arrivals = [at for at in remote.arrivals() if begun - SECOND.total_seconds() <= at <= begun + seconds]
    counted = sum(at >= begun for at in arrivals)
    return {
        USED: counted / (LIMIT * seconds),
        MOST: most_within(arrivals, SECOND),
        BROKEN: over_the_limit(arrivals, LIMIT, SECOND.total_seconds()) / max(1, len(arrivals)),
    }


def _askers(one: Contender, place: Place, processes: int, seconds: float) -> list[Child]:
    whole = SETTLING + seconds + 60  # they are ended before
    command = python("benchmarks.limit.asker", one.gate, str(LIMIT), str(whole))
    return [
        Child(f"asker-{number}", [*command, str(number)], ASKS, env=place.as_environment())
        for number in range(processes)
    ]


def _celery(one: Contender, place: Place, processes: int, seconds: float) -> list[Child]:
    """Workers of a process each; what they have to do is there before they start."""
    rate = LIMIT / processes if one.divided else LIMIT
    _fill(place.broker, int(LIMIT * processes * (SETTLING + seconds + 10)))
    options = ["worker", "--concurrency", "1", "--without-gossip", "--without-mingle", "--loglevel", "warning"]
    command = python("celery", "-A", "benchmarks.limit.celery_limited", *options)
    env = place.as_environment() | {"BENCH_CELERY_RATE": f"{rate}/s"}
    return [
        Child(f"limited-{number}", [*command, "--hostname", f"limited-{number}@%h"], READY, env=env)
        for number in range(processes)
    ]


def _fill(broker: str, count: int) -> None:
    with Celery("limited", broker=broker, set_as_current=False) as app, app.producer_pool.acquire() as producer:
        for update in updates(0, count):
            app.send_task(
                "benchmarks.limit.celery_limited.send", [update.path()], producer=producer, ignore_result=True
            )
