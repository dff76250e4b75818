"""The workloads by name, in the order in which they run."""

from collections.abc import Callable, Iterator

from benchmarks import console, forecast, growth, idle, mixed, quarantine, storage, webhooks
from benchmarks.enqueue import workload as enqueue
from benchmarks.figures import Table
from benchmarks.gateway import workload as gateway
from benchmarks.limit import workload as limit
from benchmarks.outage import workload as outage
from benchmarks.scale import Scale
from benchmarks.site import Site
from benchmarks.throughput import workload as throughput

WORKLOADS: dict[str, Callable[[Site, Scale], Iterator[Table]]] = {
    "throughput": throughput.measure,
    "enqueue": enqueue.measure,
    "gateway": gateway.measure,
    "limit": limit.measure,
    "mixed": mixed.measure,
    "outage": outage.measure,
    "growth": growth.measure,
    "storage": storage.measure,
    "webhooks": webhooks.measure,
    "console": console.measure,
    "idle": idle.measure,
    "forecast": forecast.measure,
    "quarantine": quarantine.measure,
}
