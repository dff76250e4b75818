"""The bare loop on the transport that coachsync uses."""

from collections.abc import Sequence

from httpx_aiohttp import AiohttpTransport

from benchmarks.throughput.tasks.bare import BareLoop
from benchmarks.throughput.updates import Update

_loop = BareLoop(AiohttpTransport())


def hand_in(updates: Sequence[Update]) -> None:
    _loop.send(updates)
