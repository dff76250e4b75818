"""The pruner deletes what is older than the retention."""

from dataclasses import dataclass
from datetime import timedelta

from worker.store.engine import Database
from worker.store.pruning import prune

PORTIONS = 20  # a run stays short; the next goes on


@dataclass(frozen=True, slots=True)
class Pruner:
    database: Database
    keep: timedelta

    def run_once(self) -> int:
        """Returns the number of rows deleted."""
        deleted = 0
        for _ in range(PORTIONS):
            with self.database.write() as session:
                portion = prune(session, self.keep)
            deleted += portion
            if not portion:
                break
        return deleted
