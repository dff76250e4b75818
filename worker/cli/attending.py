"""What the commands that are processes share: each says that it is there, how it is, and what it has counted."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from prometheus_client.registry import Collector
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import text

from worker.cli.output import Output
from worker.configuration.settings import Settings
from worker.loops.runner import Round
from worker.runtime import REDIS_CONNECT_TIMEOUT, REDIS_TIMEOUT
from worker.store.engine import Database
from worker.telemetry import instruments
from worker.telemetry.attendance import Attendance, attend
from worker.telemetry.exposition import ProcessCollector
from worker.telemetry.pulse import PulseWriter
from worker.telemetry.serving import serve_metrics

MetricsPort = Annotated[
    int | None, typer.Option("--metrics-port", min=0, max=65535, help="Serve /metrics there; 0 takes any free one.")
]
MetricsHost = Annotated[
    str, typer.Option("--metrics-host", help="Where /metrics listens: everybody who reaches it may read it.")
]
LOOPBACK = "127.0.0.1"
METRICS_AT = "Metrics are at"


def attend_as(role: str, settings: Settings, parts: Mapping[str, float]) -> Attendance:
    return attend(settings.home, role, parts, time.monotonic)


def show_metrics(
    output: Output, attendance: Attendance, host: str, port: int | None, beside: Sequence[Collector] = ()
) -> None:
    if port is None:
        return
    try:
        url = serve_metrics(host, port, [ProcessCollector(lambda: [attendance.slot]), *beside])
    except OSError as error:
        output.fail(f"--metrics-port: cannot listen on {host}:{port}: {error.strerror}")
    output.note(f"{METRICS_AT} {url}")


def tell_round(pulse: PulseWriter, one: Round) -> None:
    instruments.loop_passed(one.loop, seconds=one.seconds, done=one.done, failed=one.failed)
    pulse.passed(one.loop)


def impatient_redis(settings: Settings) -> Redis:
    """Who asks again and again needs no second try."""
    return Redis.from_url(
        settings.redis_url,
        socket_timeout=REDIS_TIMEOUT,
        socket_connect_timeout=REDIS_CONNECT_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )


def reach(database: Database) -> None:
    with database.read() as session:
        session.execute(text("SELECT 1"))
