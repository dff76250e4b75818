"""How full worker processes keep one limit together, for limits and latencies of several sizes; ours alone.

The bound is window / (window + latency): a request counts until a window after its end. Arrivals are counted in the
processes that send, on the clock that they share: no server is in the way of a thousand a second.
"""

import asyncio
import time
from dataclasses import dataclass

from redis.asyncio import Redis

from api_adapter.rate_limit.policy import Policy, parse_rate_limit
from api_adapter.rate_limit.shared import SharedLimiter
from benchmarks.figures import Column, Row, Table
from benchmarks.scale import Scale
from benchmarks.site import Site
from schemas.lanes import Lane
from tests.services import fleet
from tests.services.valkey import ValkeyServer

COLD = 2.1  # seconds that a limiter without memory waits
BURST = 1.5  # seconds until what had gathered while it was idle is spent
LONGEST = 8.0
USED, MOST, EXCHANGES = "used", "most in a window", "exchanges/s a process"
COLUMNS = (Column(USED, 1, share=True), Column(MOST), Column(EXCHANGES))


@dataclass(frozen=True, slots=True)
class Case:
    """``latency`` of a request in seconds."""

    rate_limit: str
    latency: float

    @property
    def name(self) -> str:
        return f"{self.rate_limit}, {self.latency * 1000:g} ms a request"


def fleet_table(site: Site, scale: Scale) -> Table:
    """The figures of a row are those of each number of processes, in place of rounds."""
    seconds = min(LONGEST, scale.seconds)
    cases = [*(Case(limit, 0.005) for limit in scale.limits), Case("100/second", 0.1)]
    rows = [
        _row(case, [asyncio.run(_measured(case, site.broker, one, seconds)) for one in scale.processes])
        for case in cases
    ]
    processes = ", ".join(map(str, scale.processes))
    return Table(
        "limits", "Limits of several sizes", f"{processes} processes, work always waiting", COLUMNS, rows, None
    )


def _row(case: Case, measured: list[dict[str, float]]) -> Row:
    return Row(case.name, {column.name: [one[column.name] for one in measured] for column in COLUMNS})


async def _measured(case: Case, server: ValkeyServer, processes: int, seconds: float) -> dict[str, float]:
    (limit,) = parse_rate_limit(case.rate_limit)
    server.flush()
    async with fleet.workers(processes) as started, Redis.from_url(server.url) as client:
        await SharedLimiter(client, "acme", Policy((limit,), 1000)).exchange(Lane.BULK, 0)
        await asyncio.sleep(COLD)
        begun = time.monotonic()
        asker = fleet.Asker(server.url, case.rate_limit, begun + BURST + seconds, case.latency)
        reports = await asyncio.gather(*(fleet.work(process, asker) for process in started))
    arrivals = sorted(arrival for report in reports for arrival in report.arrivals)
    counted = sum(begun + BURST <= arrival < begun + BURST + seconds for arrival in arrivals)
    return {
        USED: counted / (limit.limit / limit.window.total_seconds() * seconds),
        MOST: fleet.most_within(arrivals, limit.window),
        EXCHANGES: max(report.exchanges for report in reports) / (BURST + seconds),
    }
