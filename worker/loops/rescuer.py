"""The rescuer makes rows with an expired lease due again, and seals batches whose producer is gone."""

from dataclasses import dataclass

from worker.log import get_logger
from worker.store.batches import seal_abandoned
from worker.store.claims import rescue, something_expired
from worker.store.engine import Database

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rescuer:
    database: Database

    def run_once(self) -> int:
        """Returns the number of jobs that were rescued."""
        rescued: list[int] = []
        with self.database.read() as session:
            expired = something_expired(session)
        if expired:
            with self.database.write() as session:
                rescued = rescue(session)
            _log.warning("jobs_rescued", jobs=len(rescued))
        with self.database.write() as session:
            for batch in seal_abandoned(session):
                _log.warning("batch_abandoned", batch=batch)
        return len(rescued)
