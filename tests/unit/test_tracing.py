"""Nobody pays for traces who has not asked for them, and who asks without the extra is told what to install."""

import subprocess
import sys

from worker.tracing.spans import Kind, headers, span

LOADED = "import worker.cli.main as m, worker.tasks, sys; m.build(); print(*sys.modules)"
WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from worker.configuration.problems import SettingsError
from worker.tracing.spans import trace_as
try:
    trace_as("coachsync-worker")
except SettingsError as error:
    print(error)
"""
NESTED = """
from worker.tracing.spans import Kind, end_tracing, headers, span, trace_as
trace_as("tests")
parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
with span("chunk") as chunk, span("job", parent=parent, kind=Kind.CONSUMER) as job, span("request") as request:
    assert job.trace == request.trace == "a" * 32 != chunk.trace
    assert headers()["traceparent"] == request.traceparent
    assert request.traceparent.split("-")[1] == "a" * 32
for wrong in ("", "00-x-y-01", "00-" + "0" * 32 + "-" + "b" * 16 + "-01", "é" * 90):
    with span("job", parent=wrong) as job:
        assert len(job.trace) == 32 and set(job.trace) != {"0"}
end_tracing()
assert not headers()
print("well")
"""


def _run(program: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_without_traces_nothing_that_makes_or_sends_them_is_loaded() -> None:
    assert not {"worker.tracing.otel", "opentelemetry.sdk.trace", "opentelemetry.exporter"} & set(_run(LOADED).split())


def test_without_traces_a_span_is_nothing_and_no_request_carries_one() -> None:
    with span("job", kind=Kind.CONSUMER, parent="00-x", job="1-1") as one:
        one.tell(outcome="succeeded")
        one.fail("nothing")
        assert (one.traceparent, one.trace, dict(headers())) == (None, "", {})


def test_without_the_extra_the_remedy_is_named() -> None:
    assert _run(WITHOUT) == "COACHSYNC_TRACES: traces need OpenTelemetry: pip install 'coachsync[otel]'"


def test_a_span_goes_on_in_the_trace_it_is_given_and_a_traceparent_that_is_none_begins_a_new_one() -> None:
    assert _run(NESTED, OTEL_TRACES_SAMPLER="always_off") == "well"
