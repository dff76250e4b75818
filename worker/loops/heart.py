"""The heart tells the store that this process is alive, and with which settings."""

from dataclasses import dataclass

from worker.store.engine import Database
from worker.store.heartbeats import beat


@dataclass(frozen=True, slots=True)
class Heart:
    database: Database
    name: str
    role: str
    settings: str

    def run_once(self) -> int:
        with self.database.write() as session:
            beat(session, self.name, self.role, self.settings)
        return 0
