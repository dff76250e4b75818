"""Celery's side: two tasks, what a worker process opens and closes around them, and what a worker tells of itself."""

from threading import Event
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Reject
from celery.signals import worker_process_init, worker_process_shutdown
from celery.worker.control import inspect_command
from sqlalchemy.exc import SQLAlchemyError

from schemas.lanes import Lane
from worker.app import EVENTS_TASK, HELLO, TASK
from worker.configuration import settings
from worker.configuration.problems import SettingsError
from worker.executor import Chunk, Summary
from worker.intake.roster_delivery import Door, deliver, entries_of
from worker.log import get_logger, log_context
from worker.runtime import Runtime, WorkerRuntime
from worker.telemetry import instruments
from worker.tracing.spans import Kind, end_tracing, span, trace_as

PAUSE = 1.0  # seconds before events that could not be taken go back to their queue, from where they come at once
_log = get_logger(__name__)
_here: dict[str, WorkerRuntime] = {}


def _runtime() -> WorkerRuntime:
    if "runtime" not in _here:
        runtime = Runtime(settings.from_environment())
        if runtime.settings.traces:
            trace_as("coachsync-worker")
        _here["runtime"] = WorkerRuntime(runtime)
    return _here["runtime"]


@worker_process_init.connect
def _open(**_: Any) -> None:
    _here.clear()  # what a parent opened before the fork is the parent's


@worker_process_shutdown.connect
def _close(**_: Any) -> None:
    if runtime := _here.pop("runtime", None):
        runtime.close()
        runtime.runtime.close()
    end_tracing()


@shared_task(bind=True, name=TASK)
def run_chunk(self: Task, job_ids: list[int], remote: str, lane: str, *, probe: bool = False) -> None:
    """Run one chunk; its redelivery under the same id takes its own leases back."""
    chunk = Chunk(self.request.id, remote, Lane(lane), tuple(job_ids), probe)
    with (
        log_context(chunk=chunk.id, remote=remote, lane=lane),
        instruments.chunk_running(remote, lane),
        span("chunk", kind=Kind.CONSUMER, chunk=chunk.id, remote=remote, lane=lane, jobs=len(job_ids)),
    ):
        summary = _runtime().run_chunk(chunk)
        instruments.jobs_claimed(remote, lane, summary.claimed)
        _tell(summary, len(job_ids))


@shared_task(bind=True, name=EVENTS_TASK)
def submit_roster_events(self: Task, *given: Any, **named: Any) -> None:
    """``[event, …]``, each CloudEvents JSON. Acknowledged once they are committed; else the message goes back."""
    entries = entries_of(self.request.id, given, named)
    try:
        runtime = _runtime().runtime
        deliver(runtime.database, entries, Door("celery", "events of the roster from Celery"), runtime.settings.guard)
    except (SQLAlchemyError, SettingsError) as error:
        _log.warning("roster_events_wait", door="celery", error=repr(error)[:300])
        Event().wait(PAUSE)
        raise Reject(error, requeue=True) from error


@inspect_command(name=HELLO)
def hello(state: Any, **_: Any) -> dict[str, Any]:
    return {
        "settings": state.app.conf.get("settings_fingerprint"),
        "processes": state.consumer.pool.num_processes,
    }


def _tell(summary: Summary, jobs: int) -> None:
    _log.info(
        "chunk_done", jobs=jobs, claimed=summary.claimed, recorded=summary.recorded, given_back=summary.given_back
    )
    if summary.tripped:
        _log.error("remote_quarantined", reason=summary.tripped)
    if summary.released:
        _log.warning("remote_released")
