"""Whether the processes of ``coachsync up`` are at work: asked of the store, and of the worker through the broker."""

from dataclasses import dataclass
from datetime import datetime

from kombu.exceptions import OperationalError as BrokerError
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from worker.cli.processes import worker_name
from worker.fleet import worker_answers
from worker.runtime import Runtime, process_name
from worker.store.heartbeats import has_beaten


@dataclass(frozen=True, slots=True)
class Readiness:
    """Each by its pid, that another may have had before ``since``. Where nobody can be asked it is not ready yet."""

    runtime: Runtime
    since: datetime

    def worker(self, pid: int) -> bool:
        try:
            self.runtime.redis.ping()
            return worker_answers(self.runtime.app, worker_name(pid))
        except (RedisError, BrokerError, OSError):
            return False

    def loops(self, pid: int) -> bool:
        try:
            with self.runtime.database.read() as session:
                return has_beaten(session, process_name(pid), self.since)
        except SQLAlchemyError:
            return False
