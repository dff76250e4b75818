"""What waits for a person, what differs at the remote, what persons have done; and the search."""

from collections.abc import Iterator
from typing import Any, assert_never

from sqlmodel import Session

from schemas.ids import format_job_id
from worker.console.desk import PAGE, Desk, NotThere, Page
from worker.console.pages_work import batch_seen
from worker.store import approvals, audit, drifts, roster
from worker.store.audit import AuditAction, AuditFilter
from worker.store.explaining import BatchStory, JobStory, ResourceStory
from worker.store.explaining_roster import AgentStory, EventStory
from worker.store.explaining_webhooks import MessageStory
from worker.store.oversight_models import Approval
from worker.telling.approval_records import approval_record
from worker.telling.meaning import FORMS, SeveralQuotas, Story, meant_by
from worker.telling.records import audit_record

LONGEST = 500  # characters of what is searched for
FOUND = 1  # wishes that are read of each: the page reads its own


def list_approvals(desk: Desk, session: Session) -> Page:
    desk.sees_all_or_nothing("Approvals")
    waiting = desk.asked("waiting") is not None
    found = approvals.list_all(session, PAGE, desk.number("before"), waiting=waiting)
    facts = {
        "approvals": [approval_record(session, one) for one in found],
        "older": found[-1].id if len(found) == PAGE else None,
        "waiting": waiting,
    }
    return Page("approvals.html", "Approvals", facts)


def show_approval(desk: Desk, session: Session) -> Page:
    approval = approval_seen(desk, session, desk.number_in_path("approval"))
    facts = {
        "approval": approval_record(session, approval),
        "held": roster.count_held(session, approval.id),
    }
    return Page("approval.html", f"Approval {approval.id}", facts)


def approval_seen(desk: Desk, session: Session, number: int) -> Approval:
    desk.sees_all_or_nothing("Approvals")
    found = approvals.find(session, number)
    if found is None:
        raise NotThere(f"There is no approval {number}.")
    return found


def list_drifts(desk: Desk, session: Session) -> Page:
    desk.sees_all_or_nothing("Differences")
    every = desk.asked("every") is not None
    found = drifts.list_drifts(session, PAGE, desk.number("before"), still_open=not every)
    facts = {
        "drifts": [
            {**one.model_dump(), "job": format_job_id(one.job_id) if one.job_id is not None else None} for one in found
        ],
        "older": found[-1].id if len(found) == PAGE else None,
        "every": every,
    }
    return Page("drifts.html", "Drift", facts)


def list_audit(desk: Desk, session: Session) -> Page:
    desk.sees_all_or_nothing("The audit trail")
    chosen = AuditFilter(desk.asked("who"), desk.one_of("action", AuditAction))
    found = audit.list_all(session, chosen, PAGE, desk.number("before"))
    facts = {
        "lines": [audit_record(one) for one in found],
        "actions": sorted(AuditAction),
        "older": found[-1].id if len(found) == PAGE else None,
        "asked": desk.query,
    }
    return Page("audit.html", "Audit trail", facts)


def search(desk: Desk, session: Session) -> Page:
    """One that is found alone is gone to at once; several are named."""
    what = (desk.asked("q") or "")[:LONGEST]
    found: list[tuple[str, str]] = []
    if what:
        try:
            found = list(_places(desk, session, meant_by(session, what, FOUND)))
        except SeveralQuotas as error:
            found = [(name, f"/quotas/{name}") for name in error.quotas if desk.viewer.sees(name)]
    return Page("search.html", "Search", {"what": what, "found": found, "forms": FORMS})


def _places(desk: Desk, session: Session, meant: list[tuple[str, Story]]) -> Iterator[tuple[str, str]]:
    """Where each is shown; nothing that this viewer may not see."""
    for name, story in meant:
        path, whose = _place(story)
        if (
            desk.viewer.sees_all
            or (whose is not None and desk.viewer.sees(whose))
            or (isinstance(story, BatchStory) and _is_seen(desk, session, story))
        ):
            yield name, path


def _place(story: Story) -> tuple[str, Any]:
    """The page of it, and the name that tells whose it is, if one does."""
    match story:
        case BatchStory(batch=batch):
            return f"/batches/{batch.id}", None
        case JobStory(job=job):
            return f"/jobs/{format_job_id(job.id)}", job.resource
        case ResourceStory(name=name):
            return f"/{'quotas' if '@' in name.partition(';')[0] else 'targets'}/{name}", name
        case EventStory(event=event):
            return f"/events/e{event.seq}", f"{event.profile}/"
        case AgentStory(agent=agent):
            return f"/agents/{agent.profile}/agents/{agent.agent}", f"{agent.profile}/"
        case MessageStory(message=message):
            return f"/messages/{message.id}", None
        case never:
            assert_never(never)


def _is_seen(desk: Desk, session: Session, story: BatchStory) -> bool:
    try:
        batch_seen(desk, session, str(story.batch.id))
    except NotThere:
        return False
    return True
