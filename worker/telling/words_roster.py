"""Events of the roster and what they asked for, in sentences."""

import json
from collections.abc import Mapping

from schemas.ids import format_job_id
from schemas.roster import RosterEventType
from worker.store.explaining_roster import AskStory
from worker.store.oversight_models import Approval
from worker.store.roster_models import RosterEventRow, Want
from worker.telling.cells import cell
from worker.telling.words import outcome_words

_TYPES: Mapping[str, str] = {
    RosterEventType.JOINED: "joined",
    RosterEventType.LEFT: "left",
    RosterEventType.MOVED: "moved",
    RosterEventType.CHANGED: "changed",
}
_CAME_TO = {
    "applied": "it changed the roster",
    "outdated": "newer facts were known: it changed nothing",
    "unchanged": "the roster said so already: it changed nothing",
}


def event_words(event: RosterEventRow) -> str:
    """``e17: a1 moved at 2026-01-31 08:00:00 (hr-system, 4711)``."""
    what = f"{event.agent} {_TYPES[event.type]}" if event.type in _TYPES else "a whole roster"
    return f"e{event.seq}: {what} at {cell(event.time)} ({event.source}, {event.event_id})"


def event_state_words(event: RosterEventRow) -> str:
    match event.state:
        case "waiting":
            return "it waits for the planner"
        case "held":
            return f"the guard holds it back: coachsync approvals show {event.approval_id}"
        case "rejected":
            return f"it was refused with approval {event.approval_id}: it changed nothing"
        case _:
            return _CAME_TO.get(event.outcome or "", event.outcome or event.state)


def agent_words(record: str | None) -> str:
    """An agent, as an event has them, in one line."""
    if record is None:
        return "not there"
    agent = json.loads(record)
    plan = agent.get("coachingPlanName", "").rpartition("/")[2]
    usecases = ", ".join(name.rpartition("/")[2] for name in agent.get("usecases", ())) or "none"
    return f"groups {', '.join(agent.get('groups', ())) or 'none'}; usecases {usecases}; coaching plan {plan or 'none'}"


def unasked_words(event: RosterEventRow) -> str:
    """Why an event has asked for nothing."""
    if event.state in ("waiting", "held"):
        return "nothing yet"
    if event.type == RosterEventType.SNAPSHOT:
        return "nothing itself: each change that it stands for is an event of its own, which comes after it"
    if event.state == "rejected" or event.outcome != "applied":
        return "nothing"
    return "nothing: by the policy that was in force nothing followed from it"


def ask_words(story: AskStory) -> str:
    asked = f"the rule {story.ask.rule!r} asked for {story.ask.resource}"
    if story.job is None:
        return f"{asked}: {_no_job_words(story)}"
    last = story.last
    if last is None or last.id == story.job.id:
        return f"{asked}: {format_job_id(story.job.id)} {outcome_words(story.job)}"
    return f"{asked}: {format_job_id(story.job.id)}, then {format_job_id(last.id)} {outcome_words(last)}"


def want_words(want: Want) -> str:
    state = want.obstacle or (f"asked for as {format_job_id(want.job_id)}" if want.job_id else "not asked for yet")
    return f"{cell(want.target)} for {want.identity}, by the rule {want.rule!r} since {cell(want.as_of)}: {state}"


def approval_words(approval: Approval) -> str:
    by = f" by {approval.decided_by}" if approval.decided_by else ""
    return f"approval {approval.id}: {approval.state}{by}: {approval.reason}"


def _no_job_words(story: AskStory) -> str:
    if story.ask.job_id:
        return f"{format_job_id(story.ask.job_id)}, which is too old to be kept"
    if story.want:
        return story.want.obstacle or "it has not become a job yet"
    if story.is_quota:
        return "nobody was there to be asked; it is asked for once somebody is"
    return "it is not wanted any more"
