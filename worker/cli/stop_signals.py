"""How a command that runs until it is stopped hears of that."""

import asyncio
import signal


def stop_asked() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM. Called on the running loop of the main thread."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
