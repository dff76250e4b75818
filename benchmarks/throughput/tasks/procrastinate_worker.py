"""One worker process of procrastinate."""

import asyncio

from benchmarks.throughput.place import READY
from benchmarks.throughput.tasks.procrastinate_tasks import AT_ONCE, app


async def work() -> None:
    async with app.open_async():
        print(READY, flush=True)
        await app.run_worker_async(concurrency=AT_ONCE)


if __name__ == "__main__":
    asyncio.run(work())
