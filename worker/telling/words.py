"""What became of a job, and why it waits, in sentences. The same in tables, in stories and in JSON."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from schemas.ids import format_job_id
from schemas.jobs import JobState
from worker.core.durations import in_words
from worker.counts import counted
from worker.store.console_models import Halt
from worker.store.explaining import COUNTED_AHEAD, Waiting
from worker.store.models import Attempt, Batch, Job, KnownTarget, Quarantine, QuotaAnswer
from worker.store.pauses import EVERY_LANE
from worker.telling.cells import cell

_RESULTS = {
    "created": "the remote had no such target, and has it now",
    "applied": "the remote answered with what was wished",
    "recalculated": "the remote answered with the quota",
    "known": "not sent: a target for the same was known to be there, with this value",
    "already_there": "the remote had it already when it was read; nothing was written",
    "adopted": "not sent: somebody else has set it, and the reconciliation takes that for what is wanted",
    "unchanged": "not sent: the remote was known to have it already",
}
_OUTCOMES = {
    "answered": "done",
    "mismatched": "the remote did something else",
    "refused": "refused",
    "missing": "not found",
    "unsupported": "not supported by this remote",
    "unauthorized": "not let in",
    "throttled": "throttled, not done",
    "unavailable": "unavailable, not done",
    "ambiguous": "no certain answer: it may have been done",
}


def outcome_words(job: Job) -> str:
    """Its state, and why it is in it where there is a why."""
    reason = reason_words(job)
    return f"{job.state}: {reason}" if reason else str(job.state)


def reason_words(job: Job) -> str | None:
    """Why a job ended as it did, or who holds it; None for one that waits: see ``waiting_words``."""
    match JobState(job.state):
        case JobState.SUCCEEDED:
            return _RESULTS.get(job.result or "", job.result)
        case JobState.FAILED:
            return f"{job.error_code}: {job.error}"
        case JobState.SUPERSEDED:
            return _superseded_words(job)
        case JobState.CANCELLED:
            return "by an operator, " + ("after it had been tried" if job.attempts else "before it was sent")
        case JobState.RUNNING:
            return f"a worker holds it until {cell(job.lease_until)}, or longer"
        case JobState.PENDING:
            return None


def waiting_words(waiting: Waiting, last: Attempt | None = None) -> str:
    """Why a pending job is not sent at this moment: the outermost reason first. ``last`` is its last attempt."""
    job = waiting.job
    if waiting.quarantine or waiting.pause or waiting.halt:
        return "; ".join(_left_alone_words(waiting))
    if waiting.running:
        return f"{format_job_id(waiting.running.id)}, an older wish for the same resource, is still running"
    if job.due_at > waiting.now:
        because = f", because its last attempt came to: {attempt_words(last)}" if last else ""
        return f"the next try is at {cell(job.due_at)}, in {in_words(job.due_at - waiting.now)}{because}"
    due = f"due for {in_words(waiting.now - job.due_at)}"
    if job.published_until and job.published_until > waiting.now:
        return f"{due}; it lies with the broker until a worker takes it"
    return f"{due}; {_ahead_words(waiting.ahead)} of {job.remote}, {job.lane} before it"


def quarantine_words(remote: str, quarantine: Quarantine) -> str:
    probes = counted(quarantine.probes, "probe was", "probes were")
    return (
        f"the remote {remote} is in quarantine since {cell(quarantine.since)} ({quarantine.reason});"
        f" {probes} sent, the next is at {cell(quarantine.probe_due_at)}"
    )


def pause_words(remote: str, lane: str, until: datetime, left: timedelta) -> str:
    time = f"until {cell(until)}, for another {in_words(left)}"
    if lane == EVERY_LANE:
        return f"the remote {remote} is left alone {time}, as it asked (coachsync remotes release {remote} ends that)"
    return f"the {lane} lane of {remote} is left alone {time}: its limit is used up"


def halted_words(halt: Halt) -> str:
    what = f"the remote {halt.remote}" if halt.lane == EVERY_LANE else f"the {halt.lane} lane of {halt.remote}"
    lane = "" if halt.lane == EVERY_LANE else f" --lane {halt.lane}"
    ends = f"coachsync remotes resume {halt.remote}{lane} ends that"
    return f"{what} is paused since {cell(halt.since)} by {halt.who}{f', {halt.why}' if halt.why else ''} ({ends})"


def attempt_words(attempt: Attempt) -> str:
    words = _OUTCOMES.get(attempt.outcome, attempt.outcome)
    return words + (f": {attempt.message}" if attempt.message else "")


def target_words(target: KnownTarget) -> str:
    doubt = "; an attempt since then may have changed it" if target.uncertain else ""
    seen_by = "a reconciliation" if target.job_id is None else format_job_id(target.job_id)
    return f"the remote showed {cell(target.target)} at {cell(target.known_at)}, to {seen_by}{doubt}"


def quota_words(answer: QuotaAnswer) -> str:
    agents = counted(answer.total_active_agents_count, "active agent")
    shown_to = format_job_id(answer.job_id)
    start, end = answer.period_start, answer.period_end
    period = f" in the period {cell(start)} to {cell(end)}" if start and end else ""
    asked = f"{agents}{period} at {cell(answer.answered_at)}"
    return f"the remote gave {answer.total_agent_quota:,} for {asked}, to {shown_to}"


def counted_words(batch: Batch) -> tuple[str, str]:
    """How a batch's counters add up: rows, then accepted ones."""
    still_open = batch.accepted - batch.succeeded - batch.failed - batch.superseded - batch.cancelled
    rows = f"{counted(batch.rows, 'row')} = {batch.accepted:,} accepted + {batch.rejected:,} rejected"
    unchanged = f" ({batch.unchanged:,} unchanged)" if batch.unchanged else ""
    accepted = (
        f"{batch.accepted:,} accepted = {batch.succeeded:,} succeeded{unchanged} + {batch.failed:,} failed"
        f" + {batch.superseded:,} superseded + {batch.cancelled:,} cancelled"
    )
    return rows, accepted + (f" + {still_open:,} open" if still_open else "")


def batch_state_words(batch: Batch, now: datetime) -> str:
    if batch.completed_at:
        return f"completed at {cell(batch.completed_at)}, after {in_words(batch.completed_at - batch.created_at)}"
    if batch.sealed_at is None:
        return "open: rows are still being accepted"
    return f"open for {in_words(now - batch.created_at)}"


def _left_alone_words(waiting: Waiting) -> Iterator[str]:
    if halt := waiting.halt:
        yield halted_words(halt)
    if waiting.quarantine:
        yield quarantine_words(waiting.job.remote, waiting.quarantine)
    if pause := waiting.pause:
        yield pause_words(pause.remote, pause.lane, pause.until, pause.until - waiting.now)


def _superseded_words(job: Job) -> str:
    by = format_job_id(job.superseded_by) if job.superseded_by else "another job"
    if job.result == "repeated":
        return f"not sent: its request key had been accepted before, as {by}"
    if job.finished_at == job.created_at:
        return f"not sent: {by} is a newer wish"
    return f"{by}, a newer wish, took its place" + (
        f" after {counted(job.attempts, 'attempt')}" if job.attempts else ""
    )


def latency_words(attempt: Attempt) -> str:
    """An answer's time: milliseconds, or more."""
    took = timedelta(milliseconds=attempt.latency_ms)
    return in_words(took) if took >= timedelta(seconds=1) else f"{attempt.latency_ms:.0f} ms"


def _ahead_words(ahead: int) -> str:
    if ahead >= COUNTED_AHEAD:
        return f"{ahead:,} or more jobs"
    return counted(ahead, "job") if ahead else "no job"
