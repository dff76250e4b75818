"""Several worker processes, one limit, counted where the requests arrive."""

import asyncio
import itertools
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
TRIES = 3  # a machine that has no time for us cannot use the limit up

Run = tuple[list[float], float, float]


async def _work_through_a_loss(server: ValkeyServer) -> Run:
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
def run(valkey_server: ValkeyServer) -> Run:
    return _run(valkey_server)


def _run(valkey_server: ValkeyServer) -> Run:
    if not valkey_server.alive:
        valkey_server.restart()
    valkey_server.flush()
    return asyncio.run(_work_through_a_loss(valkey_server))


def test_no_sliding_window_at_the_remote_is_over_even_when_the_memory_is_lost_midway(run: Run) -> None:
    arrivals, _, lost = run
    assert fleet.most_within(arrivals, WINDOW) <= LIMIT
    assert any(arrival > lost + 1 for arrival in arrivals), "work went on after the loss"


def test_with_work_waiting_the_fleet_uses_the_limit(run: Run, valkey_server: ValkeyServer) -> None:
    tries = itertools.chain([run], (_run(valkey_server) for _ in range(TRIES - 1)))
    assert any(used(*one) >= 0.95 * LIMIT for one in tries)


def used(arrivals: list[float], began: float, lost: float) -> float:
    """Requests a second, without the first burst."""
    return sum(began + 1 < arrival < lost for arrival in arrivals) / (lost - began - 1)
