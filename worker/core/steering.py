"""Pure: which jobs an operator may have tried again, which may be cancelled, and why the others may not."""

from dataclasses import dataclass

from schemas.ids import format_job_id
from schemas.jobs import JobState


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job that somebody wants to steer. ``newest_job_id`` holds the newest accepted wish for its resource."""

    id: int
    state: JobState
    newest_job_id: int


def why_not_retried(job: Candidate) -> str | None:
    """None where a fresh try is right: it would send the newest accepted wish."""
    if job.state is not JobState.FAILED:
        return f"{job.state}; only failed jobs are retried"
    if job.newest_job_id != job.id:
        return f"a newer wish was accepted since: {format_job_id(job.newest_job_id)}"
    return None


def why_not_cancelled(job: Candidate) -> str | None:
    match job.state:
        case JobState.PENDING:
            return None
        case JobState.RUNNING:
            return "running, cannot be cancelled"
        case _:
            return f"{job.state} already"
