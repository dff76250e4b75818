"""What the console is made of."""

from collections.abc import Callable
from dataclasses import dataclass

from worker.console.entry import Attempts
from worker.console.fleet_watch import FleetWatch
from worker.runtime import Runtime


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """``monotonic`` times long work."""

    runtime: Runtime
    fleet: FleetWatch
    attempts: Attempts
    monotonic: Callable[[], float]
