"""How full worker processes keep one limit together, counted where their requests arrive.

    python -m benchmarks.limiter

Prints, for each limit and the worst of 1, 4 and 8 processes: the most requests in any sliding window, the share of the
limit that was used while work waited, and the round trips to the broker. The bound is window / (window + latency): a
request counts until a window after its end.
"""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from api_adapter.rate_limit.policy import Policy, parse_rate_limit
from api_adapter.rate_limit.shared import SharedLimiter
from schemas.lanes import Lane
from tests.services import fleet
from tests.services.valkey import ValkeyServer

COLD = 2.1  # seconds that a limiter without memory waits
BURST = 1.5  # seconds until what had gathered while it was idle is spent
SECONDS = 8.0
FLEETS = (1, 4, 8)


@dataclass(frozen=True, slots=True)
class Case:
    """``latency`` of a request in seconds."""

    rate_limit: str
    latency: float


@dataclass(frozen=True, slots=True)
class Measured:
    most: int
    used: float
    exchanges: float


CASES = [Case(limit, 0.005) for limit in ("5/second", "20/second", "100/second", "1000/second")]
CASES.append(Case("100/second", 0.1))


async def measure(case: Case, server: ValkeyServer, processes: int) -> Measured:
    (limit,) = parse_rate_limit(case.rate_limit)
    server.flush()
    async with fleet.workers(processes) as started, Redis.from_url(server.url) as client:
        await SharedLimiter(client, "acme", Policy((limit,), 1000)).exchange(Lane.BULK, 0)
        await asyncio.sleep(COLD)
        begun = time.monotonic()
        asker = fleet.Asker(server.url, case.rate_limit, begun + BURST + SECONDS, case.latency)
        reports = await asyncio.gather(*(fleet.work(process, asker) for process in started))
    arrivals = sorted(arrival for report in reports for arrival in report.arrivals)
    counted = sum(begun + BURST <= arrival < begun + BURST + SECONDS for arrival in arrivals)
    return Measured(
        fleet.most_within(arrivals, limit.window),
        counted / (limit.limit / limit.window.total_seconds() * SECONDS),
        max(report.exchanges for report in reports) / (BURST + SECONDS),
    )


def main() -> None:
    print("| limit, time of a request | most in a window | used | exchanges/s a process |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        server = ValkeyServer(Path(folder))
        try:
            for case in CASES:
                all_of = [asyncio.run(measure(case, server, processes)) for processes in FLEETS]
                most, used = max(one.most for one in all_of), min(one.used for one in all_of)
                busiest = max(one.exchanges for one in all_of)
                print(f"| {case.rate_limit}, {case.latency * 1000:g} ms | {most} | {used:.1%} | {busiest:.0f} |")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
