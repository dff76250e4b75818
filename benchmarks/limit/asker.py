"""One process of a fleet that sends as much as its limiter lets through.

python -m benchmarks.limit.asker GATE PER_SECOND SECONDS NUMBER
"""

import asyncio
import sys
from itertools import count

import httpx
from httpx_aiohttp import AiohttpTransport

from benchmarks.limit.gates import GATES, Gate
from benchmarks.throughput.place import Place
from benchmarks.throughput.updates import updates

READY = "asks now"
AT_ONCE = 20


async def ask(name: str, per_second: int, seconds: float, number: int) -> None:
    place, numbers = Place.from_environment(), count(number * 1_000_000)

    async def send(http: httpx.AsyncClient, gate: Gate) -> None:
        while True:
            async with gate():
                (await http.patch(updates(next(numbers), 1)[0].path())).raise_for_status()

    async with (
        GATES[name](place.broker, per_second) as gate,
        httpx.AsyncClient(base_url=place.remote, transport=AiohttpTransport()) as http,
    ):
        print(READY, flush=True)
        asking = [asyncio.create_task(send(http, gate)) for _ in range(AT_ONCE)]
        done, _ = await asyncio.wait(asking, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        for one in done:
            one.result()


def main() -> None:
    name, per_second, seconds, number = sys.argv[1:]
    asyncio.run(ask(name, int(per_second), float(seconds), int(number)))


if __name__ == "__main__":
    main()
