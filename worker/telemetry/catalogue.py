"""Every metric that is exported, once: its name, what it counts and by what. Alerts, dashboard and page are held to it.

``FLEET`` is true of the installation, and read from the database and the limiter when somebody asks. ``PROCESS`` is
true of one process, which counts it as it happens.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """``labels`` take few values each: remotes, lanes, operations and loops are named in settings or in the code."""

    name: str
    kind: Kind
    means: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def samples(self) -> tuple[str, ...]:
        """The names under which it may be asked for."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


_LANE = ("remote", "lane")
_LATENCY = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_CHUNK = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)

SOURCE_UP = Metric("coachsync_source_up", Kind.GAUGE, "1 where the fleet's metrics could be read from it", ("source",))
JOBS_DUE = Metric("coachsync_jobs_due", Kind.GAUGE, "jobs that could be sent now", _LANE)
JOBS_LATER = Metric("coachsync_jobs_later", Kind.GAUGE, "jobs that wait for their time", _LANE)
JOBS_PUBLISHED = Metric(
    "coachsync_jobs_published", Kind.GAUGE, "pending jobs whose message lies with the broker", _LANE
)
JOBS_RUNNING = Metric("coachsync_jobs_running", Kind.GAUGE, "jobs under a worker's lease", _LANE)
OLDEST_DUE = Metric("coachsync_oldest_due_seconds", Kind.GAUGE, "for how long the oldest due job has been due", _LANE)
QUARANTINED = Metric("coachsync_remote_quarantined", Kind.GAUGE, "1 while only single probes go there", ("remote",))
PAUSED = Metric(
    "coachsync_remote_paused_seconds", Kind.GAUGE, "how long the lane (`every`: each lane) is still left alone", _LANE
)
HALTED = Metric(
    "coachsync_remote_halted", Kind.GAUGE, "1 while a person has paused the lane (`every`: each lane)", _LANE
)
BATCHES_OPEN = Metric("coachsync_batches_open", Kind.GAUGE, "batches that have not ended")
APPROVALS = Metric("coachsync_approvals_waiting", Kind.GAUGE, "changes that the guard holds until a person decides")
DRIFTS = Metric("coachsync_drifts_open", Kind.GAUGE, "fields of targets that differ from what is wanted")
EVENTS = Metric("coachsync_roster_events", Kind.GAUGE, "events of the roster that are `waiting` or `held`", ("state",))
HINDERED = Metric("coachsync_wants_hindered", Kind.GAUGE, "wanted targets that an obstacle stands before")
ENDPOINTS = Metric("coachsync_endpoints", Kind.GAUGE, "endpoints of webhooks", ("state",))
DELIVERIES = Metric("coachsync_deliveries", Kind.GAUGE, "webhook messages that are `pending` or `dead`", ("state",))
OLDEST_DELIVERY = Metric(
    "coachsync_oldest_delivery_seconds", Kind.GAUGE, "for how long the oldest due message to an enabled endpoint is due"
)
PROCESSES = Metric("coachsync_processes", Kind.GAUGE, "processes that were heard of in the last 45 seconds", ("role",))
LIMIT_USED = Metric(
    "coachsync_limit_used_ratio", Kind.GAUGE, "share of a limit that is used, 0 to 1", ("remote", "window")
)
IN_FLIGHT = Metric("coachsync_requests_in_flight", Kind.GAUGE, "requests of the fleet under way", ("remote",))
MOST_IN_FLIGHT = Metric("coachsync_requests_in_flight_limit", Kind.GAUGE, "so many may be", ("remote",))
COOLDOWN = Metric("coachsync_cooldown_seconds", Kind.GAUGE, "how long the remote still wants quiet", ("remote",))
RATE_FACTOR = Metric(
    "coachsync_rate_factor", Kind.GAUGE, "share of the rate that throttling has left, 0 to 1", ("remote",)
)

FLEET = (
    SOURCE_UP, JOBS_DUE, JOBS_LATER, JOBS_PUBLISHED, JOBS_RUNNING, OLDEST_DUE, QUARANTINED, PAUSED, HALTED,
    BATCHES_OPEN, APPROVALS, DRIFTS, EVENTS, HINDERED, ENDPOINTS, DELIVERIES, OLDEST_DELIVERY, PROCESSES, LIMIT_USED,
    IN_FLIGHT, MOST_IN_FLIGHT, COOLDOWN, RATE_FACTOR,
)  # fmt: skip

REQUESTS = Metric("coachsync_requests_total", Kind.COUNTER, "requests to a remote", ("remote", "operation", "outcome"))
REQUEST_SECONDS = Metric(
    "coachsync_request_seconds", Kind.HISTOGRAM, "until its answer, or until it was given up",
    ("remote", "operation"), _LATENCY,
)  # fmt: skip
JOBS = Metric(
    "coachsync_jobs_total", Kind.COUNTER,
    "jobs that were recorded: `succeeded`, `failed`, `retried`, `given_back`, or `late`, whose lease was lost",
    ("remote", "outcome"),
)  # fmt: skip
JOBS_CLAIMED = Metric("coachsync_jobs_claimed_total", Kind.COUNTER, "jobs that were claimed", _LANE)
CHUNK_SECONDS = Metric("coachsync_chunk_seconds", Kind.HISTOGRAM, "from a message to its last record", _LANE, _CHUNK)
CHUNKS_BROKEN = Metric("coachsync_chunks_broken_total", Kind.COUNTER, "chunks that ended in an error", _LANE)
CHUNKS_RUNNING = Metric("coachsync_chunks_running", Kind.GAUGE, "chunks that are worked on")
PERMITS = Metric("coachsync_permits_total", Kind.COUNTER, "permits that were `granted`, or `refused` in time",
                 ("remote", "lane", "outcome"))  # fmt: skip
PERMIT_WAIT = Metric(
    "coachsync_permit_wait_seconds_total", Kind.COUNTER, "waited for permits, by all jobs together", _LANE
)
TRANSACTIONS_RETRIED = Metric(
    "coachsync_transactions_retried_total", Kind.COUNTER, "transactions that the database refused for the moment"
)
WEBHOOKS = Metric(
    "coachsync_webhook_requests_total", Kind.COUNTER, "requests to endpoints: `2xx`, `3xx`, `4xx`, `5xx`, `no_answer`",
    ("outcome",),
)  # fmt: skip
WEBHOOK_SECONDS = Metric(
    "coachsync_webhook_request_seconds", Kind.HISTOGRAM, "until its answer, or until it was given up", (), _LATENCY
)
GATEWAY = Metric("coachsync_gateway_requests_total", Kind.COUNTER, "requests to the gateway", ("route", "status"))
GATEWAY_SECONDS = Metric(
    "coachsync_gateway_request_seconds", Kind.HISTOGRAM, "until the end of the answer", ("route",), _LATENCY
)
LOOP_PASSES = Metric("coachsync_loop_passes_total", Kind.COUNTER, "rounds of a loop", ("loop",))
LOOP_FAILURES = Metric("coachsync_loop_failures_total", Kind.COUNTER, "rounds that ended in an error", ("loop",))
LOOP_WORK = Metric(
    "coachsync_loop_work_total", Kind.COUNTER, "what the rounds have done, in the loop's own unit", ("loop",)
)
LOOP_SECONDS = Metric("coachsync_loop_seconds_total", Kind.COUNTER, "time that the rounds took", ("loop",))

PROCESS = (
    REQUESTS, REQUEST_SECONDS, JOBS, JOBS_CLAIMED, CHUNK_SECONDS, CHUNKS_BROKEN, CHUNKS_RUNNING, PERMITS, PERMIT_WAIT,
    TRANSACTIONS_RETRIED, WEBHOOKS, WEBHOOK_SECONDS, GATEWAY, GATEWAY_SECONDS, LOOP_PASSES,
    LOOP_FAILURES, LOOP_WORK, LOOP_SECONDS,
)  # fmt: skip

EVERY = FLEET + PROCESS
