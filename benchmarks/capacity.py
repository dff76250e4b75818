"""What so many updates a second take, computed from what one has cost when it was measured.

    python -m benchmarks.capacity [--rate 1000 ...] [--limit 20 ...] [--jobs 1000000]

All is arithmetic: nothing is started, and the same figures come out on every machine. Costs are of one update among
others, measured on two hyperthreads of an AMD EPYC (2026-11-26); bytes are those of the workload ``storage``.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor

from worker.core.chunks import LARGEST_WINDOW
from worker.recorder import GROUP

MINUTE, HOUR, DAY = 60, 3_600, 86_400
FULL = 0.7  # of a process or a core: what is fuller answers late
RATES = (1_000, 10_000, 100_000)
LIMITS = (5, 20, 100, 1_000)
JOBS = 1_000_000
Cells = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU in ms, sizes in bytes. ``worker`` alone on its core, ``worker_crowded`` beside another on its hyperthread."""

    worker: float = 0.44
    worker_crowded: float = 0.88
    loops: float = 0.05
    accept: float = 0.11
    postgres: float = 0.17
    valkey: float = 0.02
    wal: int = 5_500
    kept: int = 1_700


@dataclass(frozen=True, slots=True)
class Shape:
    """What bounds one of a kind, however much hardware there is. Times in seconds; ``lock`` is an assumption."""

    group: int = GROUP
    lock: float = 0.005  # the statement that counts a batch, its end looked for, and a commit on the disk
    window: int = LARGEST_WINDOW  # jobs of one remote and lane that are out at once
    pause: float = 0.1  # of the dispatcher, after a round that found work
    messages: int = 2_400  # webhooks a second of one deliverer, measured


@dataclass(frozen=True, slots=True)
class Fleet:
    """``latency`` in seconds; ``in_flight`` is the fleet's bound."""

    limit: float
    latency: float
    in_flight: int
    processes: int


COSTS, SHAPE = Costs(), Shape()


def processes(rate: float, cpu_ms: float) -> int:
    """So many that none is fuller than it should be."""
    return max(1, ceil(round(rate * cpu_ms / 1_000 / FULL, 9)))


def cores(rate: float, cpu_ms: float) -> float:
    return rate * cpu_ms / 1_000


def one_process(cpu_ms: float) -> int:
    """Updates a second of one process that is as full as it should be."""
    return floor(FULL * 1_000 / cpu_ms)


def ceilings(costs: Costs = COSTS, shape: Shape = SHAPE) -> dict[str, int]:
    """Updates a second of what there is one of, lowest first: above it one more of its kind is needed."""
    bounds = {
        "a worker process, its core crowded": one_process(costs.worker_crowded),
        "a worker process, its core its own": one_process(costs.worker),
        "a producer": one_process(costs.accept),
        "a process of loops": one_process(costs.loops),
        "one remote's lane": floor(shape.window / (shape.pause + shape.window * costs.loops / 1_000)),
        "a core of PostgreSQL": one_process(costs.postgres),
        "a deliverer of webhooks, one message an update": shape.messages,
        "Valkey's one thread": one_process(costs.valkey),
        "one batch": floor(shape.group / shape.lock),
    }
    return dict(sorted(bounds.items(), key=lambda one: one[1]))


def pace(fleet: Fleet, costs: Costs = COSTS) -> dict[str, float]:
    """Updates a second that each bound allows; the fleet's pace is the least of them."""
    return {
        "the limit": fleet.limit / (1 + fleet.latency),  # a permit counts for its second and its time under way
        "requests in flight": fleet.in_flight / fleet.latency,
        "worker processes": fleet.processes * one_process(costs.worker_crowded),
    }


def enough_processes(fleet: Fleet, costs: Costs = COSTS) -> int:
    """One more than these sends nothing more."""
    allowed = pace(fleet, costs)
    return processes(min(allowed["the limit"], allowed["requests in flight"]), costs.worker_crowded)


def drain(jobs: int, fleet: Fleet, costs: Costs = COSTS) -> float:
    """Seconds until the last of them is sent."""
    return jobs / min(pace(fleet, costs).values())


def main() -> None:
    given = _parsed()
    print("\n\n".join(tables(given.rate, given.limit, given.jobs)))


def tables(rates: Sequence[int] = RATES, limits: Sequence[float] = LIMITS, jobs: int = JOBS) -> list[str]:
    """As Markdown: what rates take, what one of each kind can do, how long the jobs take."""
    return [_markdown(list(lines)) for lines in (hardware(rates), single(), waits(limits, jobs))]


def hardware(rates: Sequence[int], costs: Costs = COSTS) -> Iterator[Cells]:
    yield ("", *(f"{rate:,}/s" for rate in rates))
    yield "worker processes", *(_between(rate, costs) for rate in rates)
    parts = {"producers": costs.accept, "loops": costs.loops, "PostgreSQL": costs.postgres, "Valkey": costs.valkey}
    for name, cpu in parts.items():
        yield f"{name}, cores", *(f"{cores(rate, cpu):.2g}" for rate in rates)
    yield "WAL, MB/s", *(f"{rate * costs.wal / 1e6:,.1f}" for rate in rates)
    yield "WAL a day, GB", *(f"{rate * costs.wal * DAY / 1e9:,.0f}" for rate in rates)
    yield "kept a day, GB", *(f"{rate * costs.kept * DAY / 1e9:,.0f}" for rate in rates)
    yield "commits of records/s, at least", *(f"{ceil(rate / SHAPE.group):,}" for rate in rates)


def single() -> Iterator[Cells]:
    yield "one of", "updates/s"
    yield from ((name, f"{rate:,}") for name, rate in ceilings().items())


def waits(limits: Sequence[float], jobs: int) -> Iterator[Cells]:
    """With answers of 100 ms, and room for all requests that the limit has on their way."""
    yield "limit", "pace", f"time for {jobs:,}", "processes that are enough"
    for limit in limits:
        one = Fleet(limit, latency=0.1, in_flight=max(32, ceil(limit * 0.1)), processes=1)
        fleet = Fleet(one.limit, one.latency, one.in_flight, enough_processes(one))
        speed = min(pace(fleet).values())
        yield f"{limit:g}/s", f"{speed:,.1f}/s", _duration(drain(jobs, fleet)), str(fleet.processes)


def _between(rate: int, costs: Costs) -> str:
    return f"{processes(rate, costs.worker):,} to {processes(rate, costs.worker_crowded):,}"


def _duration(seconds: float) -> str:
    if seconds >= DAY:
        return f"{seconds / DAY:.1f} days"
    return f"{seconds / HOUR:.1f} hours" if seconds >= HOUR else f"{seconds / MINUTE:.0f} minutes"


def _markdown(lines: Sequence[Cells]) -> str:
    head, *body = lines
    rule = ("---", *("--:" for _ in head[1:]))
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *body))


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, nargs="+", default=RATES, help="Updates a second.")
    parser.add_argument(
        "--limit", type=float, nargs="+", default=LIMITS, help="Requests a second that a remote allows."
    )
    parser.add_argument("--jobs", type=int, default=JOBS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
