"""The sandbox in a thread of its own, for callers that have no event loop."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from api_adapter.sandbox.api import Clock
from api_adapter.sandbox.options import SandboxOptions
from api_adapter.sandbox.server import RunningSandbox, running_sandbox, wall_clock


@contextmanager
def background_sandbox(
    options: SandboxOptions = SandboxOptions(),  # noqa: B008 - frozen
    *,
    port: int = 0,
    clock: Clock = wall_clock,
) -> Iterator[RunningSandbox]:
    """As ``running_sandbox``. Ledger and state may be read from any thread; they change between two looks."""
    started: Future[tuple[RunningSandbox, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        try:
            async with running_sandbox(options, port=port, clock=clock) as sandbox:
                stop = asyncio.Event()
                started.set_result((sandbox, asyncio.get_running_loop(), stop))
                await stop.wait()
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="sandbox", daemon=True)
    thread.start()
    sandbox, loop, stop = started.result()
    try:
        yield sandbox
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
