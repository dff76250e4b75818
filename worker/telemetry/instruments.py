"""What a process counts as it happens: once for a group or a chunk, not once for an update, wherever that goes."""

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import assert_never

import prometheus_client

from schemas.lanes import Lane
from worker.core.decisions import Decision, Fail, GiveBack, Retry, Succeed
from worker.store.deliveries import Sent
from worker.store.records import Record, Tried
from worker.telemetry import catalogue
from worker.telemetry.catalogue import Metric


@cache
def _counter(metric: Metric) -> prometheus_client.Counter:
    return prometheus_client.Counter(metric.name, metric.means, metric.labels)


@cache
def _gauge(metric: Metric) -> prometheus_client.Gauge:
    """Of processes that live: what a dead one had under way is under way no more."""
    return prometheus_client.Gauge(metric.name, metric.means, metric.labels, multiprocess_mode="livesum")


@cache
def _histogram(metric: Metric) -> prometheus_client.Histogram:
    return prometheus_client.Histogram(metric.name, metric.means, metric.labels, buckets=metric.buckets)


@cache
def _counted(metric: Metric, *labels: str) -> prometheus_client.Counter:
    return _counter(metric).labels(*labels) if labels else _counter(metric)


@cache
def _observed(metric: Metric, *labels: str) -> prometheus_client.Histogram:
    return _histogram(metric).labels(*labels) if labels else _histogram(metric)


def expect(remotes: Iterable[str]) -> None:
    """What is hoped never to happen begins at 0: of a series that begins at 1 nobody sees the increase."""
    for remote in remotes:
        for outcome in ("failed", "late"):
            _counted(catalogue.JOBS, remote, outcome)
        for lane in Lane:
            _counted(catalogue.CHUNKS_BROKEN, remote, lane)


def recorded(remote: str, group: Sequence[Record], late: Sequence[Record]) -> None:
    """A group of a chunk's records was written; of the late ones the attempts alone."""
    requests_sent(remote, (tried for one in group for tried in one.tried))
    lost = {id(one) for one in late}
    outcomes = Tally("late" if id(one) in lost else _outcome(one.decision) for one in group)
    for outcome, count in outcomes.items():
        _counted(catalogue.JOBS, remote, outcome).inc(count)


def requests_sent(remote: str, tries: Iterable[Tried]) -> None:
    outcomes: Tally[tuple[str, str]] = Tally()
    for one in tries:
        outcomes[one.operation, one.outcome] += 1
        _observed(catalogue.REQUEST_SECONDS, remote, one.operation).observe(one.latency_ms / 1000)
    for (operation, outcome), count in outcomes.items():
        _counted(catalogue.REQUESTS, remote, operation, outcome).inc(count)


def _outcome(decision: Decision) -> str:
    match decision:
        case Succeed():
            return "succeeded"
        case Fail():
            return "failed"
        case Retry():
            return "retried"
        case GiveBack():
            return "given_back"
        case _:
            assert_never(decision)


@contextmanager
def chunk_running(remote: str, lane: str) -> Iterator[None]:
    """Counts a chunk while it runs, its time, and whether it broke."""
    try:
        with (
            _gauge(catalogue.CHUNKS_RUNNING).track_inprogress(),
            _observed(catalogue.CHUNK_SECONDS, remote, lane).time(),
        ):
            yield
    except BaseException:
        _counted(catalogue.CHUNKS_BROKEN, remote, lane).inc()
        raise


def jobs_claimed(remote: str, lane: str, jobs: int) -> None:
    _counted(catalogue.JOBS_CLAIMED, remote, lane).inc(jobs)


def permits_taken(remote: str, lane: str, *, granted: int, refused: int, waited: float) -> None:
    """What a chunk's jobs came to in asking the limiter; ``waited`` in seconds, by all of them together."""
    _counted(catalogue.PERMITS, remote, lane, "granted").inc(granted)
    _counted(catalogue.PERMITS, remote, lane, "refused").inc(refused)
    _counted(catalogue.PERMIT_WAIT, remote, lane).inc(waited)


def transaction_retried() -> None:
    _counted(catalogue.TRANSACTIONS_RETRIED).inc()


def webhooks_sent(sent: Sequence[Sent]) -> None:
    for one in sent:
        _observed(catalogue.WEBHOOK_SECONDS).observe(one.latency_ms / 1000)
    for outcome, count in Tally(_answer(one.reply.status) for one in sent).items():
        _counted(catalogue.WEBHOOKS, outcome).inc(count)


def _answer(status: int | None) -> str:
    return f"{status // 100}xx" if status else "no_answer"


def gateway_answered(route: str, status: int, seconds: float) -> None:
    _counted(catalogue.GATEWAY, route, str(status)).inc()
    _observed(catalogue.GATEWAY_SECONDS, route).observe(seconds)


def loop_passed(loop: str, *, seconds: float, done: int, failed: bool) -> None:
    _counted(catalogue.LOOP_PASSES, loop).inc()
    _counted(catalogue.LOOP_SECONDS, loop).inc(seconds)
    _counted(catalogue.LOOP_WORK, loop).inc(done)
    _counted(catalogue.LOOP_FAILURES, loop).inc(int(failed))
