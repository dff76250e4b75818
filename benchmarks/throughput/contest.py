"""One round of one contender: start, warm up, hand in, wait for the last outcome, verify, and say what it took."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import create_engine, text

from benchmarks.children import children, python
from benchmarks.figures import OURS
from benchmarks.process_tree import cpu_seconds, peak_memory
from benchmarks.remote import Remote
from benchmarks.site import Site, environment, plain_url
from benchmarks.throughput.contenders import Contender, environment_of
from benchmarks.throughput.outcomes import prepared
from benchmarks.throughput.place import Place
from benchmarks.throughput.produce import DONE, READY
from benchmarks.throughput.updates import updates
from tests.services.processes import wait_until

LONGEST = 600.0  # seconds that a round may take
RATE, CPU, SERVERS, MEMORY = "updates/s", "CPU s/1,000", "servers' CPU s/1,000", "memory, MB"
COMMITS, ROUND_TRIPS, REQUESTS = "transactions/update", "broker round trips/update", "requests/update"


@dataclass(frozen=True, slots=True)
class Size:
    updates: int
    warm_up: int


@dataclass(frozen=True, slots=True)
class Contest:
    """One contender under way. ``working`` ends its programs."""

    contender: Contender
    site: Site
    remote: Remote
    engine: str
    database: str
    producers: "Producers"
    looker: "Looker"
    workers: Sequence[int]
    working: ExitStack

    @property
    def pids(self) -> list[int]:
        return [*self.workers, *self.producers.pids]

    @property
    def servers(self) -> list[int]:
        return [self.site.broker.pid, self.site.postgres.pid]

    def commits(self) -> int:
        return 0 if self.engine == "SQLite" else self.site.commits(self.database)

    def drive(self, first: int, count: int) -> None:
        """Hand in these updates and wait until the last outcome is durable."""
        self.remote.reset()
        self.producers.hand_in(first, count)
        wait_until(lambda: self.remote.targets() >= count, f"{count} targets are updated", seconds=LONGEST)
        if self.contender.keeps:
            wait_until(lambda: self.kept(first, count) == count, f"{count} outcomes are kept", seconds=LONGEST)

    def kept(self, first: int, count: int) -> int:
        """How many of these updates have their outcome in the database."""
        names = [updates(number, 1)[0].name for number in (first, first + count - 1)]
        return self.looker.count(*names)

    def verify(self, first: int, count: int) -> None:
        wanted = {update.name: update.target for update in updates(first, count)}
        assert self.remote.values() == wanted, f"{self.contender.name}: the remote does not have what was asked for"
        if self.contender.keeps:
            assert self.kept(first, count) == count, f"{self.contender.name}: outcomes are missing"


@contextmanager
def under_way(
    contender: Contender, site: Site, remote: Remote, engine: str, fill: Callable[[str], None] | None = None
) -> Iterator[Contest]:
    """Its programs, ready, on an empty broker and a database that ``fill`` was given before they started."""
    site.broker.flush()
    with ExitStack() as opened:
        database = opened.enter_context(site.database(engine))
        folder = site.folder / f"{contender.tasks}-{engine}"
        folder.mkdir(exist_ok=True)
        place = Place(site.broker.url, plain_url(database), remote.url)
        env = environment_of(contender, place, folder, database)
        looker = opened.enter_context(_looking(contender, database))
        producers = opened.enter_context(_producing(contender, folder, env))
        if fill:
            fill(database)
        working = opened.enter_context(ExitStack())
        programs = [replace(program, env=env) for program in contender.programs]
        workers = [running.pid for running in working.enter_context(children(programs, folder))]
        yield Contest(contender, site, remote, engine, database, producers, looker, workers, working)


def measured(one: Contest, size: Size) -> dict[str, float]:
    """The figures of one round."""
    one.drive(0, size.warm_up)
    cpu, served, reads = cpu_seconds(one.pids), cpu_seconds(one.servers), one.site.broker_reads()
    commits, one.looker.looks = one.commits(), 0
    with peak_memory(one.workers or one.pids) as peak:
        begun = time.perf_counter()
        one.drive(size.warm_up, size.updates)
        took = time.perf_counter() - begun
        cpu, served = cpu_seconds(one.pids) - cpu, cpu_seconds(one.servers) - served
        reads = one.site.broker_reads() - reads
    one.verify(size.warm_up, size.updates)
    thousands = size.updates / 1_000
    figures = {
        RATE: size.updates / took,
        CPU: cpu / thousands,
        SERVERS: served / thousands,
        MEMORY: peak.megabytes,
        REQUESTS: one.remote.requests() / size.updates,
    }
    if one.contender.keeps:
        figures[ROUND_TRIPS] = reads / size.updates
    if one.contender.keeps and one.engine != "SQLite":
        one.working.close()  # a session tells its last transactions when it ends
        figures[COMMITS] = (one.commits() - commits - one.looker.looks) / size.updates
    return figures


@dataclass(slots=True)
class Looker:
    """Counts the outcomes of updates from one name to another, and how often it was asked."""

    query: Callable[[str, str], int]
    looks: int = 0

    def count(self, first: str, last: str) -> int:
        self.looks += 1
        return self.query(first, last)


@contextmanager
def _looking(contender: Contender, database: str) -> Iterator[Looker]:
    if contender.name == OURS:
        yield from _looking_at_ours(database)
        return
    mark = "?" if database.startswith("sqlite") else "%s"
    query = f"SELECT count(*) FROM outcomes WHERE status = 200 AND name BETWEEN {mark} AND {mark}"  # noqa: S608 - our own mark
    with prepared(plain_url(database)) as connection:
        yield Looker(lambda first, last: int(connection.execute(query, (first, last)).fetchone()[0]))


def _looking_at_ours(database: str) -> Iterator[Looker]:
    engine = create_engine(database, isolation_level="AUTOCOMMIT")
    query = text("SELECT count(*) FROM jobs WHERE state = 'succeeded' AND resource BETWEEN :first AND :last")
    with engine.connect() as connection:
        yield Looker(lambda first, last: int(connection.execute(query, {"first": first, "last": last}).scalar_one()))
    engine.dispose()


@dataclass(frozen=True, slots=True)
class Producers:
    """Processes that hand in a part each."""

    processes: Sequence["subprocess.Popen[str]"]

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.processes]

    def hand_in(self, first: int, count: int) -> None:
        each = count // len(self.processes)
        for number, process in enumerate(self.processes):
            last = number == len(self.processes) - 1
            assert process.stdin
            process.stdin.write(f"{first + number * each} {count - number * each if last else each}\n")
            process.stdin.flush()
        for process in self.processes:
            _await_line(process, DONE)


@contextmanager
def _producing(contender: Contender, folder: Path, env: dict[str, str]) -> Iterator[Producers]:
    command = python("benchmarks.throughput.produce", contender.tasks)
    with ExitStack() as opened:
        log = opened.enter_context((folder / "producer.log").open("w"))
        pipe = subprocess.PIPE
        started = [
            opened.enter_context(
                subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True, env=environment() | env)  # noqa: S603 - our own program
            )
            for _ in range(contender.producers)
        ]
        try:
            for process in started:
                _await_line(process, READY)
            yield Producers(started)
        finally:
            for process in started:
                process.kill()


def _await_line(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout
    line = process.stdout.readline()
    assert line == word, f"a producer says {line!r} where {word!r} was expected"
