"""The workload's tables: a remote that answers at once, on both databases, and one that takes its time."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.figures import Better, Column, Table, gathered
from benchmarks.remote import Remote, running_remote
from benchmarks.scale import Scale
from benchmarks.site import ENGINES, Site
from benchmarks.throughput import contest
from benchmarks.throughput.contenders import CONTENDERS, PROCESSES, Contender

COLUMNS = (
    Column(contest.RATE, better=Better.MORE),
    Column(contest.CPU, 2, Better.LESS),
    Column(contest.SERVERS, 2),
    Column(contest.MEMORY, better=Better.LESS),
    Column(contest.COMMITS, 2),
    Column(contest.ROUND_TRIPS, 2),
    Column(contest.REQUESTS, 2),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """``latency`` of the remote in seconds."""

    engine: str
    latency: float

    @property
    def key(self) -> str:
        return f"throughput-{self.engine.lower()}-{self.latency * 1000:g}ms"

    @property
    def title(self) -> str:
        answers = f"a remote that takes {self.latency * 1000:g} ms" if self.latency else "a remote that answers at once"
        return f"Throughput on {self.engine}, {answers}"


def settings(scale: Scale) -> list[Setting]:
    """Both databases where the remote costs nothing, PostgreSQL alone where it takes its time."""
    return [
        Setting(engine, latency) for latency in scale.latencies for engine in (ENGINES if not latency else ENGINES[:1])
    ]


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    for setting in settings(scale):
        able = [one for one in CONTENDERS if setting.engine in one.engines and scale.wants(one.name)]
        running = [one for one in able if not one.absent]
        size = contest.Size(scale.updates, warm_up=max(100, scale.updates // 10))
        with running_remote(site.folder, setting.latency) as remote:
            done = [_round(running, site, remote, setting, size) for _ in range(scale.rounds)]
        notes = {one.name: one.note for one in able}
        rows = [replace(row, note=notes[row.name]) for row in gathered(list(notes), done)]
        said = (
            f"{scale.updates:,} updates handed in by one process and sent by {PROCESSES}, one durable outcome each,"
            " from the first handed in to the last committed"
        )
        yield Table(setting.key, setting.title, said, COLUMNS, rows)


def _round(
    contenders: Sequence[Contender], site: Site, remote: Remote, setting: Setting, size: contest.Size
) -> dict[str, dict[str, float]]:
    figures = {}
    for one in contenders:
        print(f"{setting.title}: {one.name}", file=sys.stderr)
        with contest.under_way(one, site, remote, setting.engine) as running:
            figures[one.name] = contest.measured(running, size)
    return figures
