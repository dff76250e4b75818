"""Posts single target updates over some connections for a while, each as soon as the one before it is answered.

    TOKEN=… python -m benchmarks.gateway.poster URL CONNECTIONS SECONDS

Prints, as JSON, how many were accepted in how many seconds, and how long the median and the slowest hundredth took.
It reads no more of an answer than it must: who measures shares the machine with who is measured.
"""

import asyncio
import json
import os
import sys
import time
from typing import cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.throughput.updates import updates

MOST = 100_000


class _Poster(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, requests: "_Requests") -> None:
        self._requests, self._answer = requests, b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._post()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        if not head.startswith(b"HTTP/1.1 202"):
            self.done.set_exception(ValueError(self._answer.decode()))
            return
        self._requests.took.append(time.perf_counter() - self._began)
        self._answer = b""
        self._post()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the gateway has closed the connection"))

    def _post(self) -> None:
        request = self._requests.next()
        if request is None:
            self.done.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(request)


class _Requests:
    """Until the time is over. ``took``: seconds of each that was answered."""

    def __init__(self, host: str, seconds: float) -> None:
        self._head = (
            f"POST /v1/target-updates HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {os.environ['TOKEN']}\r\n"  # noqa: TID251 - a program of its own
            "Content-Type: application/json\r\nContent-Length: "
        )
        self._updates = iter(updates(0, MOST))
        self._ends = time.perf_counter() + seconds
        self.took: list[float] = []

    def next(self) -> bytes | None:
        update = next(self._updates, None)
        if update is None or time.perf_counter() > self._ends:
            return None
        body = json.dumps(
            {
                "name": update.name,
                "scorecardTemplateName": update.scorecard_template_name,
                "usecaseName": update.usecase_name,
                "criterionOrChapterId": update.criterion_or_chapter_id,
                "coachingPlanName": update.coaching_plan_name,
                "target": update.target,
            }
        )
        return f"{self._head}{len(body)}\r\n\r\n{body}".encode()


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])


async def _post(url: str, connections: int, seconds: float) -> dict[str, float]:
    parts = urlsplit(url)
    requests, loop = _Requests(parts.netloc, seconds), asyncio.get_running_loop()
    began = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: _Poster(requests), parts.hostname, parts.port) for _ in range(connections)
    ]
    await asyncio.gather(*(poster.done for _, poster in opened))
    took = sorted(requests.took)
    return {
        "accepted": len(took),
        "seconds": time.perf_counter() - began,
        "median": took[len(took) // 2],
        "slowest": took[len(took) * 99 // 100],
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_post(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))))
