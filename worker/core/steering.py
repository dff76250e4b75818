"""Pure: which jobs an operator may have tried again, which may be cancelled, and why the others may not."""

from dataclasses import dataclass

from schemas.ids import format_job_id
from schemas.jobs import JobState


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job that somebody wants to steer. ``wish`` is its canonical JSON."""

    id: int
    state: JobState
    resource: str
    version: int
    wish: str


@dataclass(frozen=True, slots=True)
class Rivals:
    """The other jobs of a candidate's resource. ``newest_wish`` is None where that job has been pruned."""

    newest_job_id: int
    newest_wish: str | None = None
    version: int = 0
    active_job_id: int | None = None


def why_not_retried(job: Candidate, rivals: Rivals) -> str | None:
    """None where a fresh try is right: it would send the newest accepted wish, which nothing else is about to send."""
    if job.state is not JobState.FAILED:
        return f"{job.state}; only failed jobs are retried"
    if not _is_newest(job, rivals):
        return f"a newer wish was accepted since: {format_job_id(rivals.newest_job_id)}"
    if rivals.active_job_id is not None:
        return f"{format_job_id(rivals.active_job_id)} is under way with the same wish"
    return None


def why_not_cancelled(job: Candidate) -> str | None:
    match job.state:
        case JobState.PENDING:
            return None
        case JobState.RUNNING:
            return "running, cannot be cancelled"
        case _:
            return f"{job.state} already"


def _is_newest(job: Candidate, rivals: Rivals) -> bool:
    """A repair asserts the newest wish a second time, under an id of its own: it is as new as what it repeats."""
    repeats = job.version == rivals.version and job.wish == rivals.newest_wish
    return job.id == rivals.newest_job_id or repeats
