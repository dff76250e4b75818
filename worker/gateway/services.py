"""What the routes of the gateway, and what is mounted beside them, have to work with."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from worker.configuration.settings import Settings
from worker.gateway.doorkeeper import Doorkeeper
from worker.runtime import Runtime
from worker.store.engine import Database


@dataclass(frozen=True)
class Services:
    """``stopping`` is set once the gateway is asked to stop: what never ends by itself ends then."""

    runtime: Runtime
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    random_bytes: Callable[[int], bytes]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settings(self) -> Settings:
        return self.runtime.settings

    @property
    def database(self) -> Database:
        return self.runtime.database

    @cached_property
    def doorkeeper(self) -> Doorkeeper:
        return Doorkeeper(self.database, self.monotonic)
