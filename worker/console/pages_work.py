"""Batches and jobs."""

from datetime import datetime
from typing import Any

from sqlmodel import Session

from schemas.ids import format_job_id, parse_batch_id, parse_job_id
from schemas.jobs import JobState
from schemas.lanes import Lane
from worker.console.desk import PAGE, Desk, NotThere, Page
from worker.store import listing
from worker.store.engine import database_now
from worker.store.explaining import JobStory, job_story
from worker.store.models import Batch
from worker.store.selection import Selection
from worker.store.sight import batch_is_of
from worker.telling.records import batch_record, error_record, job_record, rejection_record
from worker.telling.story_records import job_story_record
from worker.telling.words import attempt_words, batch_state_words, counted_words, outcome_words, reason_words

FEW = 10  # batches a page for who sees some customers only: each is looked through
LOOKED_AT = 100  # of the newest batches, for theirs
SHOWN = 20


def list_batches(desk: Desk, session: Session) -> Page:
    before, still_open = desk.number("before"), desk.asked("open") is not None
    found = visible_batches(desk, session, limit=PAGE, before=before, still_open=still_open)
    now = database_now(session)
    older = found[-1].id if len(found) == (PAGE if desk.viewer.sees_all else FEW) else None
    facts = {"batches": [batch_facts(one, now) for one in found], "older": older, "open": still_open, "before": before}
    return Page("batches.html", "Batches", facts)


def visible_batches(
    desk: Desk, session: Session, *, limit: int, before: int | None = None, still_open: bool = False
) -> list[Batch]:
    """Newest first."""
    if desk.customers is None:
        return listing.list_batches(session, limit, before, open_only=still_open)
    found: list[Batch] = []
    for one in listing.list_batches(session, LOOKED_AT, before, open_only=still_open):
        if len(found) < min(limit, FEW) and batch_is_of(session, one.id, desk.customers):
            found.append(one)
    return found


def show_batch(desk: Desk, session: Session) -> Page:
    batch = _batch(desk, session)
    facts = _progress(batch, session) | {
        "errors": [error_record(one) for one in listing.errors_of_batch(session, batch)],
        "rejections": _rejections(desk, session, batch),
        "newest": [job_facts(one) for one in listing.list_jobs(session, Selection(batch_id=batch.id), SHOWN)],
    }
    return Page("batch.html", f"Batch {batch.id}", facts)


def batch_live(desk: Desk, session: Session) -> Page:
    batch = _batch(desk, session)
    facts = _progress(batch, session)
    return Page("_batch_progress.html", f"Batch {batch.id}", facts, done=batch.completed_at is not None)


def list_jobs(desk: Desk, session: Session) -> Page:
    error = desk.asked("error")
    chosen = Selection(
        state=JobState.FAILED if error else desk.one_of("state", JobState),
        error_code=error,
        batch_id=desk.batch("batch"),
        resource=desk.asked("resource"),
        remote=desk.asked("remote"),
        lane=desk.one_of("lane", Lane),
        customers=desk.customers,
    )
    found = listing.list_jobs(session, chosen, PAGE, desk.job("before"))
    facts = {
        "jobs": [job_facts(one) for one in found],
        "older": format_job_id(found[-1].id) if len(found) == PAGE else None,
        "states": [str(state) for state in JobState],
        "lanes": [str(lane) for lane in Lane],
        "codes": listing.error_codes(session) if desk.viewer.sees_all else [],
        "asked": desk.query,
    }
    return Page("jobs.html", "Jobs", facts)


def show_job(desk: Desk, session: Session) -> Page:
    story = _story(desk, session)
    name = format_job_id(story.job.id)
    return Page("job.html", f"Job {name}", _job_facts(desk, story))


def job_live(desk: Desk, session: Session) -> Page:
    story = _story(desk, session)
    done = JobState(story.job.state).final
    return Page("_job.html", f"Job {format_job_id(story.job.id)}", _job_facts(desk, story), done=done)


def batch_facts(batch: Batch, now: datetime) -> dict[str, Any]:
    return batch_record(batch, now) | {"state": batch_state_words(batch, now)}


def job_facts(job: Any) -> dict[str, Any]:
    return job_record(job) | {"why": reason_words(job)}


def batch_seen(desk: Desk, session: Session, text: str) -> Batch:
    """The batch that is meant. Raises ``NotThere`` also where it is none of this viewer's."""
    try:
        batch = listing.find_batch(session, parse_batch_id(text))
    except ValueError as error:
        raise NotThere(str(error)) from None
    if batch is None or (desk.customers is not None and not batch_is_of(session, batch.id, desk.customers)):
        raise NotThere(f"There is no batch {text[:20]}; it may have been pruned.")
    return batch


def job_seen(desk: Desk, session: Session, text: str) -> JobStory:
    try:
        story = job_story(session, parse_job_id(text))
    except ValueError as error:
        raise NotThere(str(error)) from None
    if story is None or not desk.viewer.sees(story.job.resource):
        raise NotThere(f"There is no job {text[:40]}; it may have been pruned, or its row was rejected.")
    return story


def _batch(desk: Desk, session: Session) -> Batch:
    return batch_seen(desk, session, desk.path["batch"])


def _story(desk: Desk, session: Session) -> JobStory:
    return job_seen(desk, session, desk.path["job"])


def _progress(batch: Batch, session: Session) -> dict[str, Any]:
    now = database_now(session)
    record = batch_facts(batch, now)
    done = record["accepted"] - record["open"]
    return {
        "batch": record,
        "sums": counted_words(batch),
        "percent": 100 * done // record["accepted"] if record["accepted"] else 100 if batch.completed_at else 0,
    }


def _rejections(desk: Desk, session: Session, batch: Batch) -> list[dict[str, Any]]:
    """For who sees everything: a refused row may be of any customer."""
    if not desk.viewer.sees_all or not batch.rejected:
        return []
    return [rejection_record(one) for one in listing.first_rejections(session, batch.id, SHOWN)]


def _job_facts(desk: Desk, story: JobStory) -> dict[str, Any]:
    tried = [{"words": attempt_words(one)} for one in story.attempts]
    record = job_story_record(story)
    if not desk.viewer.sees_all:
        record["acceptedWith"] = None  # what others called what it came with
    for attempt, words in zip(record["attemptsMade"], tried, strict=True):
        attempt.update(words)
    return {"job": record, "outcome": outcome_words(story.job)}
