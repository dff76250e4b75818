"""Spans, for whoever has traces: where nobody asks for them a span is nothing, and costs next to nothing.

    with span("job", parent=row.traceparent, kind=Kind.CONSUMER, job="1-7") as job:
        ...
        job.tell(outcome="succeeded")

A ``traceparent`` is the W3C's: it is kept with a job and with a message, and goes out with each request.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from importlib import import_module
from types import MappingProxyType
from typing import Protocol

from worker.configuration.problems import SettingsError

Fact = str | int | float | bool
HEADER = "traceparent"
_NONE: Mapping[str, str] = MappingProxyType({})


class Kind(StrEnum):
    """On which side of a border it stands."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span(Protocol):
    """``traceparent`` is None where nobody traces; ``trace`` is its id, or empty."""

    @property
    def traceparent(self) -> str | None: ...
    @property
    def trace(self) -> str: ...
    def tell(self, **facts: Fact | None) -> None: ...
    def fail(self, why: str) -> None: ...


class Tracer(Protocol):
    def span(
        self, name: str, kind: Kind, parent: str | None, facts: Mapping[str, Fact | None]
    ) -> AbstractContextManager[Span]: ...
    def headers(self) -> Mapping[str, str]: ...
    def close(self) -> None: ...


class _NoSpan:
    traceparent = None
    trace = ""

    def tell(self, **facts: Fact | None) -> None:
        pass

    def fail(self, why: str) -> None:
        pass


class _NoTracer:
    _nothing: AbstractContextManager[Span] = nullcontext(_NoSpan())

    def span(
        self,
        name: str,  # noqa: ARG002 - the protocol's signature
        kind: Kind,  # noqa: ARG002 - as above
        parent: str | None,  # noqa: ARG002 - as above
        facts: Mapping[str, Fact | None],  # noqa: ARG002 - as above
    ) -> AbstractContextManager[Span]:
        return self._nothing

    def headers(self) -> Mapping[str, str]:
        return _NONE

    def close(self) -> None:
        pass


_tracers: list[Tracer] = [_NoTracer()]


def span(
    name: str, *, kind: Kind = Kind.INTERNAL, parent: str | None = None, **facts: Fact | None
) -> AbstractContextManager[Span]:
    """``parent``: the span of another process, by its traceparent; else the one that is open here, if any.

    What is open here is then linked to. An exception that leaves the block is told as the span's.
    """
    return _tracers[-1].span(name, kind, parent, facts)


def headers() -> Mapping[str, str]:
    """What a request that is sent here carries."""
    return _tracers[-1].headers()


def trace_as(service: str) -> None:
    """From here on spans are made, and sent where OpenTelemetry's own variables (``OTEL_…``) say.

    Once a process, and after it has forked. Raises ``SettingsError`` where OpenTelemetry is not installed.
    """
    try:
        otel = import_module("worker.tracing.otel")
    except ModuleNotFoundError as error:
        words = "COACHSYNC_TRACES: traces need OpenTelemetry: pip install 'coachsync[otel]'"
        raise SettingsError((words,)) from error
    _tracers[:] = [_NoTracer(), otel.OtelTracer(service)]


def end_tracing() -> None:
    """What was not sent yet is sent."""
    _tracers[-1].close()
    del _tracers[1:]
