"""Several worker processes, one limit, counted where the requests arrive."""

import asyncio
import time
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from api_adapter.rate_limit.policy import Policy, parse_rate_limit
from api_adapter.rate_limit.shared import SharedLimiter
from schemas.lanes import Lane
from tests.services import fleet
from tests.services.valkey import ValkeyServer

LIMIT, WINDOW = 100, timedelta(seconds=1)
POLICY = Policy(parse_rate_limit(f"{LIMIT}/second"), 1000)
COLD = 2.05
BEFORE, AFTER = 2.5, 0.7  # seconds of work before the memory is lost, and once it is rebuilt


async def _work_through_a_loss(server: ValkeyServer) -> tuple[list[float], float, float]:
    """The arrivals, when work began, and when the limiter's memory was lost."""
    async with fleet.workers(4) as processes, Redis.from_url(server.url) as client:
        await SharedLimiter(client, "acme", POLICY).exchange(Lane.BULK, 0)
        await asyncio.sleep(COLD)
        began = time.monotonic()
        asker = fleet.Asker(server.url, f"{LIMIT}/second", began + BEFORE + COLD + AFTER, latency=0.005)
        reports = asyncio.gather(*(fleet.work(process, asker) for process in processes))
        await asyncio.sleep(BEFORE)
        server.flush()
        lost = time.monotonic()
        arrivals = sorted(arrival for report in await reports for arrival in report.arrivals)
        return arrivals, began, lost


@pytest.fixture(scope="module")
def run(valkey_server: ValkeyServer) -> tuple[list[float], float, float]:
    if not valkey_server.alive:
        valkey_server.restart()
    valkey_server.flush()
    return asyncio.run(_work_through_a_loss(valkey_server))


def test_no_sliding_window_at_the_remote_is_over_even_when_the_memory_is_lost_midway(
    run: tuple[list[float], float, float],
) -> None:
    arrivals, _, lost = run
    assert fleet.most_within(arrivals, WINDOW) <= LIMIT
    assert sum(arrival > lost + 1 for arrival in arrivals) > AFTER * LIMIT / 2  # work went on after the loss


def test_with_work_waiting_the_fleet_uses_the_limit(run: tuple[list[float], float, float]) -> None:
    arrivals, began, lost = run
    used = sum(began + 1 < arrival < lost for arrival in arrivals) / (lost - began - 1)  # without the first burst
    assert used >= 0.95 * LIMIT
