"""What is true of the fleet, read when somebody asks: the database's numbers and the limiters' of each remote."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from api_adapter.rate_limit.permits import Usage
from worker.store.engine import Database
from worker.store.fleet_state import FleetState, fleet_state
from worker.store.outbox import DISABLED, ENABLED, PAUSED
from worker.telemetry import catalogue
from worker.telemetry.catalogue import FLEET, Metric

FRESH_FOR = 5.0  # seconds: several scrapers cost no more than one
Sample = tuple[Metric, tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Limiters:
    """What the broker's server knows: each remote's limiter, and how many workers have said that they are there."""

    usages: Mapping[str, Usage]
    workers: int


@dataclass(eq=False)
class FleetCollector(Collector):
    """``look`` asks the broker's server; None where it is away. A source that is away leaves the other's numbers."""

    database: Database
    look: Callable[[], Limiters | None]
    monotonic: Callable[[], float]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _read: tuple[float, list[Sample]] | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families = {one: GaugeMetricFamily(one.name, one.means, labels=one.labels) for one in FLEET}
        for metric, labels, value in self._samples():
            families[metric].add_metric(labels, value)
        return iter(families.values())

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Registering it reads nothing."""
        return ()

    def _samples(self) -> list[Sample]:
        with self._lock:
            if self._read is None or self.monotonic() - self._read[0] > FRESH_FOR:
                samples = [*self._of_database(), *self._of_limiters()]
                self._read = self.monotonic(), samples
            return self._read[1]

    def _of_database(self) -> list[Sample]:
        try:
            with self.database.read() as session:
                return [(catalogue.SOURCE_UP, ("database",), 1), *_of_state(fleet_state(session))]
        except SQLAlchemyError:
            return [(catalogue.SOURCE_UP, ("database",), 0)]

    def _of_limiters(self) -> list[Sample]:
        looked = self.look()
        if looked is None:
            return [(catalogue.SOURCE_UP, ("broker",), 0)]
        return [
            (catalogue.SOURCE_UP, ("broker",), 1),
            (catalogue.PROCESSES, ("worker",), looked.workers),
            *(sample for remote, usage in looked.usages.items() for sample in _of_usage(remote, usage)),
        ]


def _of_state(state: FleetState) -> Iterator[Sample]:
    for depth in state.lanes:
        labels = (depth.remote, str(depth.lane))
        yield catalogue.JOBS_DUE, labels, depth.due
        yield catalogue.JOBS_LATER, labels, depth.later
        yield catalogue.JOBS_PUBLISHED, labels, depth.published
        yield catalogue.JOBS_RUNNING, labels, depth.running
        waited = state.now - depth.oldest_due_at if depth.oldest_due_at else timedelta(0)
        yield catalogue.OLDEST_DUE, labels, waited.total_seconds()
    for remote in sorted(state.quarantined):
        yield catalogue.QUARANTINED, (remote,), 1
    for pause in state.pauses:
        yield catalogue.PAUSED, (pause.remote, pause.lane), (pause.until - state.now).total_seconds()
    for remote, lane in state.halts:
        yield catalogue.HALTED, (remote, lane), 1
    yield catalogue.BATCHES_OPEN, (), state.batches_open
    yield catalogue.APPROVALS, (), state.approvals
    yield catalogue.DRIFTS, (), state.drifts
    yield catalogue.EVENTS, ("waiting",), state.roster.waiting
    yield catalogue.EVENTS, ("held",), state.roster.held
    yield catalogue.HINDERED, (), state.roster.hindered
    for name in (ENABLED, PAUSED, DISABLED):
        yield catalogue.ENDPOINTS, (name,), state.endpoints.get(name, 0)
    yield catalogue.DELIVERIES, ("pending",), state.deliveries
    yield catalogue.DELIVERIES, ("dead",), state.dead
    yield catalogue.OLDEST_DELIVERY, (), state.oldest_delivery.total_seconds()
    for role, count in {"loops": 0, "deliverer": 0, **state.processes}.items():
        yield catalogue.PROCESSES, (role,), count


def _of_usage(remote: str, usage: Usage) -> Iterator[Sample]:
    for window in usage.windows:
        labels = (remote, f"{window.window.total_seconds():g}s")
        yield catalogue.LIMIT_USED, labels, window.used / window.limit
    yield catalogue.IN_FLIGHT, (remote,), usage.in_flight
    yield catalogue.MOST_IN_FLIGHT, (remote,), usage.max_in_flight
    yield catalogue.COOLDOWN, (remote,), usage.cooldown.total_seconds()
    yield catalogue.RATE_FACTOR, (remote,), usage.rate_factor
