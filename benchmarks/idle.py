"""What an installation costs that has nothing to do: CPU, transactions, round trips, memory."""

from collections.abc import Iterator
from threading import Event

from benchmarks.figures import Better, Column, Table, gathered
from benchmarks.process_tree import cpu_seconds, pss_megabytes
from benchmarks.remote import Remote, running_remote
from benchmarks.scale import Scale
from benchmarks.site import ENGINES, Site
from benchmarks.throughput.contenders import CONTENDERS, Contender
from benchmarks.throughput.contest import under_way

CPU, SERVERS, TRANSACTIONS, ROUND_TRIPS, MEMORY = (
    "CPU, share of a core",
    "servers' CPU",
    "transactions/minute",
    "broker round trips/minute",
    "memory, MB",
)
COLUMNS = (
    Column(CPU, 2, Better.LESS, share=True),
    Column(SERVERS, 2, share=True),
    Column(TRANSACTIONS, better=Better.LESS),
    Column(ROUND_TRIPS),
    Column(MEMORY, better=Better.LESS),
)
QUIET = 3.0  # seconds after the last update


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    for engine in ENGINES:
        able = [one for one in CONTENDERS if one.programs and engine in one.engines and scale.wants(one.name)]
        with running_remote(site.folder) as remote:
            done = [{one.name: _watched(one, site, remote, engine, scale.seconds) for one in able}]
        yield Table(
            f"idle-{engine.lower()}",
            f"Idle on {engine}",
            f"{scale.seconds} seconds with nothing to do, all processes of each",
            COLUMNS,
            gathered([one.name for one in able], done),
        )


def _watched(one: Contender, site: Site, remote: Remote, engine: str, seconds: float) -> dict[str, float]:
    with under_way(one, site, remote, engine) as contest:
        contest.drive(0, 100)
        Event().wait(QUIET)
        cpu, served = cpu_seconds(contest.workers), cpu_seconds(contest.servers)
        commits, reads = contest.commits(), site.broker_reads()
        Event().wait(seconds)
        minutes = seconds / 60
        figures = {
            CPU: (cpu_seconds(contest.workers) - cpu) / seconds,
            SERVERS: (cpu_seconds(contest.servers) - served) / seconds,
            ROUND_TRIPS: (site.broker_reads() - reads) / minutes,
            MEMORY: pss_megabytes(contest.workers),
        }
        if engine != "SQLite":
            figures[TRANSACTIONS] = (contest.commits() - commits) / minutes
    return figures
