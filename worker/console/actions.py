"""What an operator can do from a page. Each calls what the command of the same name calls."""

from collections.abc import Mapping
from types import MappingProxyType

from worker.console import actions_jobs as jobs
from worker.console import actions_oversight as oversight
from worker.console import actions_remotes as remotes
from worker.console.action import Action

ACTIONS: Mapping[str, Action] = MappingProxyType({
    "retry-job": Action("Retry the job", jobs.look_at_retry, jobs.retry),
    "cancel-job": Action("Cancel the job", jobs.look_at_cancel, jobs.cancel, danger=True),
    "retry-batch": Action("Retry what failed", jobs.look_at_retry_batch, jobs.retry_batch),
    "cancel-batch": Action("Cancel the batch", jobs.look_at_cancel_batch, jobs.cancel_batch, danger=True),
    "approve": Action("Approve", oversight.look_at_decision, oversight.approve),
    "reject": Action("Reject", oversight.look_at_decision, oversight.reject, danger=True),
    "release-remote": Action("Release the remote", remotes.look_at_release, remotes.release),
    "pause-remote": Action("Pause", remotes.look_at_pause, remotes.pause, danger=True),
    "resume-remote": Action("Resume", remotes.look_at_resume, remotes.resume),
    "replay-delivery": Action("Send again", oversight.look_at_replay, oversight.replay),
    "rotate-secret": Action("Rotate the secret", oversight.look_at_rotation, oversight.rotate, danger=True),
})  # fmt: skip
