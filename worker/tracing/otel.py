"""Spans as OpenTelemetry's. Imported only where traces are asked for: it is an extra."""

import atexit
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from worker.log import log_context
from worker.tracing import spans
from worker.tracing.spans import Fact, Kind

PATIENCE = 2.0  # seconds that a process that ends waits for its last spans to be taken
_PROPAGATOR = TraceContextTextMapPropagator()
_KINDS = {
    Kind.INTERNAL: trace.SpanKind.INTERNAL,
    Kind.SERVER: trace.SpanKind.SERVER,
    Kind.CLIENT: trace.SpanKind.CLIENT,
    Kind.PRODUCER: trace.SpanKind.PRODUCER,
    Kind.CONSUMER: trace.SpanKind.CONSUMER,
}


class OtelSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        return spans.headers().get(spans.HEADER)

    @property
    def trace(self) -> str:
        return trace.format_trace_id(self._span.get_span_context().trace_id)

    def tell(self, **facts: Fact | None) -> None:
        self._span.set_attributes(_told(facts))

    def fail(self, why: str) -> None:
        self._span.set_status(trace.StatusCode.ERROR, why)


class OtelTracer:
    """Of a program that has no provider of its own it makes one; a producer's keeps what it has."""

    def __init__(self, service: str) -> None:
        self._ours: TracerProvider | None = None
        if not isinstance(trace.get_tracer_provider(), TracerProvider):
            named = Resource({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())
            self._ours = TracerProvider(resource=Resource.create().merge(named), shutdown_on_exit=False)
            self._ours.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            trace.set_tracer_provider(self._ours)
            atexit.register(self.close)
        self._tracer = trace.get_tracer("coachsync")

    @contextmanager
    def span(self, name: str, kind: Kind, parent: str | None, facts: Mapping[str, Fact | None]) -> Iterator[OtelSpan]:
        context = _PROPAGATOR.extract({spans.HEADER: parent}) if parent else None
        here = trace.get_current_span().get_span_context()
        links = [trace.Link(here)] if parent and here.is_valid else []
        with self._tracer.start_as_current_span(
            name, context, _KINDS[kind], attributes=_told(facts), links=links, record_exception=False
        ) as one:
            span = OtelSpan(one)
            with log_context(trace=span.trace):
                yield span

    def headers(self) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier

    def close(self) -> None:
        """Within ``PATIENCE``: with a collector that is away the library would try for half a minute."""
        ours, self._ours = self._ours, None
        if ours:
            ending = threading.Thread(target=ours.shutdown, daemon=True)
            ending.start()
            ending.join(PATIENCE)


def _told(facts: Mapping[str, Fact | None]) -> dict[str, Fact]:
    return {f"coachsync.{name}": value for name, value in facts.items() if value is not None}
