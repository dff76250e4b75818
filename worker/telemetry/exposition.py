"""What Prometheus reads: the counts of the processes of this machine, each under its slot's name, and the fleet's."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from worker.telemetry.fleet import FleetCollector
from worker.telemetry.slots import Slot, slots_in_use

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ProcessCollector(Collector):
    """Sums what the children of one process count; of two processes each has a series of its own (``process``)."""

    def __init__(self, slots: Callable[[], Sequence[Slot]]) -> None:
        self._slots = slots

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for slot in self._slots():
            for metric in _counted_in(slot.folder):
                family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    family.add_sample(sample.name, {"process": slot.name, **sample.labels}, sample.value)
        return iter(families.values())

    def describe(self) -> Iterable[Metric]:
        return ()


def expose(collectors: Iterable[Collector]) -> bytes:
    return generate_latest(registry_of(collectors))


def registry_of(collectors: Iterable[Collector]) -> CollectorRegistry:
    registry = CollectorRegistry()
    for one in collectors:
        registry.register(one)
    return registry


def of_machine(home: Path, fleet: FleetCollector) -> list[Collector]:
    """All processes with this home, and the fleet: what the gateway shows."""
    return [ProcessCollector(lambda: slots_in_use(home)), fleet]


def _counted_in(folder: Path) -> list[Metric]:
    try:
        return list(MultiProcessCollector(None, path=str(folder)).collect())
    except FileNotFoundError:  # its process has ended, and another begun, while we read
        return []
