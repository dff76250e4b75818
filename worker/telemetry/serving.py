"""``/metrics`` of a process that is no server otherwise: on a thread, on loopback unless told otherwise."""

from collections.abc import Iterable

from prometheus_client import start_http_server
from prometheus_client.registry import Collector

from worker.telemetry.exposition import registry_of


def serve_metrics(host: str, port: int, collectors: Iterable[Collector]) -> str:
    """Returns its URL; it ends with the process. Raises ``OSError`` where it cannot listen there."""
    server, _ = start_http_server(port, host, registry_of(collectors))
    return f"http://{host}:{server.server_port}/metrics"
