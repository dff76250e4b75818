"""A remote that costs little: it answers UpdateTarget as the sandbox does, and counts. A process of its own.

    python -m benchmarks.remote [--latency 0.0]

It prints its port. ``GET /bench/counts`` tells what has arrived since the last ``POST /bench/reset``,
``GET /bench/arrivals`` when, on the clock that a machine's processes share.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from benchmarks.children import Child, child, python

READY = "listens on port "
_FIELDS = ("scorecardTemplateName", "criterionOrChapterId", "usecaseName", "coachingPlanName")
_TIME = "2026-01-05T08:00:00Z"


@dataclass(slots=True)
class _Counter:
    latency: float
    arrivals: list[float] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/bench/"):
            return self._operate(request.path.removeprefix("/bench/"))
        self.arrivals.append(time.monotonic())
        if self.latency:
            await asyncio.sleep(self.latency)
        return web.Response(body=self._update(request), content_type="application/json")

    def _update(self, request: web.BaseRequest) -> bytes:
        name, query = request.path.removeprefix("/v1/"), request.query
        value = float(query["target.target"])
        self.values[name] = value
        fields = {one: query.get(f"target.{one}", "") for one in _FIELDS}
        target = {"name": name, **fields, "target": value, "createTime": _TIME, "updateTime": _TIME, "qaScore": 70}
        return json.dumps({"target": target}).encode()

    def _operate(self, what: str) -> web.Response:
        match what:
            case "counts":
                told: Any = {"requests": len(self.arrivals), "targets": len(self.values)}
            case "values":
                told = self.values
            case "arrivals":
                told = self.arrivals
            case _:
                self.arrivals, self.values, told = [], {}, {}
        return web.json_response(told)


async def _serve(latency: float) -> None:
    runner = web.ServerRunner(web.Server(_Counter(latency).answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"{READY}{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class Remote:
    """The process from outside."""

    url: str
    http: httpx.Client

    def reset(self) -> None:
        self.http.post("/bench/reset").raise_for_status()

    def requests(self) -> int:
        return int(self._ask("counts")["requests"])

    def targets(self) -> int:
        """How many different ones were updated."""
        return int(self._ask("counts")["targets"])

    def values(self) -> Mapping[str, float]:
        told: Mapping[str, float] = self._ask("values")
        return told

    def arrivals(self) -> list[float]:
        told: list[float] = self._ask("arrivals")
        return told

    def _ask(self, noun: str) -> Any:
        return self.http.get(f"/bench/{noun}").raise_for_status().json()


@contextmanager
def running_remote(folder: Path, latency: float = 0.0) -> Iterator[Remote]:
    with child(Child("remote", python("benchmarks.remote", "--latency", str(latency)), READY), folder) as running:
        port = running.log().partition(READY)[2].split()[0]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            yield Remote(str(http.base_url), http)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.0, help="Seconds until each answer.")
    asyncio.run(_serve(parser.parse_args().latency))


if __name__ == "__main__":
    main()
