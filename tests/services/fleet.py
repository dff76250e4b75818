"""Worker processes that do nothing but ask the shared limiter for permits, and say when their requests arrived.

Run as a program it is one worker: it says when it is ready, reads what to do as JSON, and writes its report as JSON.
All times are of the monotonic clock, which a machine's processes share.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta

from redis.asyncio import Redis

from api_adapter.rate_limit.permits import Permit, Settled
from api_adapter.rate_limit.policy import Policy, parse_rate_limit
from api_adapter.rate_limit.shared import SharedLimiter
from schemas.lanes import Lane

_GOLDEN = 0.6180339887  # its multiples fall evenly and never the same: jitter without chance


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks as often as it is told to, until ``stop``; a request takes ``latency`` seconds."""

    url: str
    rate_limit: str
    stop: float
    latency: float
    max_in_flight: int = 1000


@dataclass(slots=True)
class Report:
    arrivals: list[float] = field(default_factory=list)
    exchanges: int = 0


@dataclass(slots=True)
class _Worker:
    asker: Asker
    report: Report = field(default_factory=Report)
    settled: list[Settled] = field(default_factory=list)

    async def work(self, limiter: SharedLimiter) -> None:
        async with asyncio.TaskGroup() as requests:
            while time.monotonic() < self.asker.stop:
                settled, self.settled = self.settled, []
                grant = await limiter.exchange(Lane.BULK, 50, settled)
                self.report.exchanges += 1
                for permit in grant.permits:
                    requests.create_task(self.send(permit))
                await asyncio.sleep(grant.retry_in.total_seconds())

    async def send(self, permit: Permit) -> None:
        on_the_way = len(self.report.arrivals) * _GOLDEN % 1 * self.asker.latency
        await asyncio.sleep(on_the_way)
        if time.monotonic() > permit.use_before:
            self.settled.append(Settled(permit, sent=False))
            return
        self.report.arrivals.append(time.monotonic())
        await asyncio.sleep(self.asker.latency - on_the_way)
        self.settled.append(Settled(permit, ended=time.monotonic()))


async def _run(asker: Asker) -> Report:
    worker = _Worker(asker)
    async with Redis.from_url(asker.url) as client:
        policy = Policy(parse_rate_limit(asker.rate_limit), asker.max_in_flight)
        await worker.work(SharedLimiter(client, "acme", policy))
    return worker.report


@asynccontextmanager
async def workers(count: int) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Processes that are ready to work, so that a slow start costs no measured time."""
    command = [sys.executable, "-m", "tests.services.fleet"]
    started = [
        await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        for _ in range(count)
    ]
    try:
        for process in started:
            assert process.stdout
            assert await process.stdout.readline() == b"ready\n"
        yield started
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def work(process: asyncio.subprocess.Process, asker: Asker) -> Report:
    output, _ = await process.communicate(json.dumps(asdict(asker)).encode())
    assert process.returncode == 0
    return Report(**json.loads(output))


def most_within(arrivals: Sequence[float], window: timedelta) -> int:
    """The most arrivals that any sliding window holds, both its edges included."""
    most = first = 0
    for last, arrival in enumerate(arrivals):
        while arrival - arrivals[first] > window.total_seconds():
            first += 1
        most = max(most, last - first + 1)
    return most


def main() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    report = asyncio.run(_run(Asker(**json.loads(sys.stdin.read()))))
    sys.stdout.write(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
