"""The dispatcher brings due rows to the broker, a little at a time; and notices when the broker has lost them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis, RedisError
from sqlalchemy.exc import SQLAlchemyError

from api_adapter.rate_limit.policy import RateLimit, parse_rate_limit
from schemas.lanes import Lane
from worker.app import TASK, queue_key, queue_name
from worker.configuration.remotes import Remote
from worker.core.chunks import chunk_size, least_portion, portions, window
from worker.store import quarantine
from worker.store.dispatching import Due, something_due, take_due, take_probe, unpublish, unpublish_all
from worker.store.engine import Database
from worker.store.gate import look

CANARY = "coachsync:broker-canary"
LANES = (Lane.INTERACTIVE, Lane.BULK)
# Messages that nobody takes: no more are brought, or they would pile up for as long. To look once a round is enough: a
# remote has a window of jobs out at most, some ten messages, and one each for those that travel alone.
LONGEST_QUEUE = 1_000
BROKER_AWAY = (RedisError, OperationalError)


@dataclass(frozen=True, slots=True)
class Message:
    """What one Celery message carries: job ids only."""

    remote: str
    lane: Lane
    job_ids: list[int]
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Safe to run anywhere and twice: rows are marked in the transaction that selects them."""

    database: Database
    app: Celery
    redis: Redis
    remotes: Sequence[Remote]

    def run_once(self) -> int:
        """Publish what is due and has room; returns the number of jobs. A broker that is away leaves all as it was."""
        try:
            self._notice_loss()
            lanes = self._lanes_with_room() if self._something_due() else []
            return sum(self._publish(self._collect(remote, lanes)) for remote in self.remotes) if lanes else 0
        except BROKER_AWAY:
            return 0

    def nudge(self) -> None:
        """A producer's call after its commit. What fails here the loop does a moment later: the work is accepted."""
        with suppress(SQLAlchemyError):
            self.run_once()

    def _notice_loss(self) -> None:
        """Within one transaction: who sees the canary publishes after this, and is not taken back by it."""
        if self.redis.exists(CANARY):
            return
        with self.database.write() as session:
            if self.redis.set(CANARY, "alive", nx=True):
                unpublish_all(session)

    def _something_due(self) -> bool:
        with self.database.read() as session:
            return something_due(session)

    def _lanes_with_room(self) -> list[Lane]:
        return [lane for lane in LANES if self.redis.llen(queue_key(self.app, lane)) < LONGEST_QUEUE]

    def _collect(self, remote: Remote, lanes: Sequence[Lane]) -> list[Message]:
        rate = slowest_rate(parse_rate_limit(remote.rate_limit))
        most, least = window(rate), least_portion(rate)
        with self.database.write() as session:
            gates = {lane: look(session, remote.name, lane) for lane in LANES}
            if not any(gate.quarantined for gate in gates.values()):
                open_lanes = [lane for lane in lanes if not gates[lane].paused]
                due = [(lane, take_due(session, remote.name, lane, most, least)) for lane in open_lanes]
                return [message for lane, some in due for message in _messages(remote.name, lane, some, rate)]
            if gates[Lane.INTERACTIVE].paused or not quarantine.take_probe_turn(session, remote.name):
                return []
            probe = take_probe(session, remote.name)
            return [Message(remote.name, Lane.INTERACTIVE, [job], probe=True) for job in probe.together + probe.alone]

    def _publish(self, messages: list[Message]) -> int:
        for done, message in enumerate(messages):
            try:
                self.app.send_task(TASK, kwargs=asdict(message), queue=queue_name(message.lane))
            except BROKER_AWAY:
                self._take_back(messages[done:])
                raise
        return sum(len(message.job_ids) for message in messages)

    def _take_back(self, messages: list[Message]) -> None:
        with self.database.write() as session:
            unpublish(session, [job for message in messages for job in message.job_ids])


def _messages(remote: str, lane: Lane, due: Due, rate: float) -> list[Message]:
    chunks = portions(due.together, chunk_size(rate)) + portions(due.alone, 1)
    return [Message(remote, lane, ids) for ids in chunks]


def slowest_rate(limits: Sequence[RateLimit]) -> float:
    """Requests per second that all limits together allow in the long run."""
    return min(limit.limit / limit.window.total_seconds() for limit in limits)
