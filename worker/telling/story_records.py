"""Stories as JSON: the same chain that people are told, with every field."""

from datetime import datetime
from typing import Any, assert_never

from schemas.ids import format_job_id
from worker.store.explaining import BatchStory, JobStory, ResourceStory, Waiting
from worker.store.explaining_roster import AgentStory, EventStory
from worker.store.explaining_webhooks import MessageStory
from worker.store.models import Attempt, Job
from worker.telling.meaning import Story
from worker.telling.records import (
    Fields,
    attempt_record,
    batch_record,
    error_record,
    job_record,
    quota_record,
    rejection_record,
    target_record,
)
from worker.telling.remote_records import halt_record, pause_record
from worker.telling.story_records_roster import agent_story_record, event_story_record, origin_record
from worker.telling.words import quarantine_words, reason_words, waiting_words
from worker.telling.words_webhooks import message_record


def story_record(story: Story, now: datetime) -> Fields:
    """Any of them, as ``coachsync explain --json`` has it."""
    match story:
        case BatchStory():
            return batch_story_record(story, now)
        case JobStory():
            return job_story_record(story)
        case ResourceStory():
            return resource_story_record(story)
        case EventStory():
            return event_story_record(story)
        case AgentStory():
            return agent_story_record(story)
        case MessageStory():
            return {"what": "message", **message_record(story)}
        case never:
            assert_never(never)


def job_story_record(story: JobStory) -> Fields:
    batch = story.batch
    last = story.attempts[-1] if story.attempts else None
    return {
        "what": "job",
        **_told(story.job),
        "acceptedWith": batch and {"batch": batch.id, "source": batch.source, "label": batch.label, "key": batch.key},
        "askedForBy": [origin_record(origin) for origin in story.origins.newest],
        "askedForByCount": story.origins.count,
        "supersedes": [format_job_id(job.id) for job in story.supersedes],
        "supersedesCount": story.superseded,
        "supersededByState": story.by and str(story.by.state),
        "newestWish": story.newest and _told(story.newest),
        "attemptsMade": [attempt_record(attempt) for attempt in story.attempts],
        "waiting": story.waiting and _waiting(story.waiting, last),
        "known": _known(story),
        "told": [message_record(one) for one in story.told],
    }


def resource_story_record(story: ResourceStory) -> Fields:
    return {
        "what": "resource",
        "name": story.name,
        "known": _known(story),
        "newestWish": story.newest and _told(story.newest),
        "wishes": [
            _told(job) | {"attemptsMade": [attempt_record(one) for one in story.attempts[job.id]]}
            for job in story.wishes
        ],
        "wishesKept": story.accepted,
        "waiting": story.waiting and _waiting(story.waiting),
    }


def batch_story_record(story: BatchStory, now: datetime) -> Fields:
    return {
        "what": "batch",
        **batch_record(story.batch, now),
        "errors": [error_record(error) for error in story.errors],
        "rejections": [rejection_record(one) for one in story.rejections],
        "slowest": [{"job": format_job_id(one.job_id), **attempt_record(one)} for one in story.slowest],
        "stillOpen": story.example and _told(story.example),
        "waiting": story.waiting and _waiting(story.waiting),
        "told": [message_record(one) for one in story.told],
    }


def _told(job: Job) -> Fields:
    return job_record(job) | {"why": reason_words(job)}


def _known(story: JobStory | ResourceStory) -> dict[str, Any] | None:
    if story.target:
        return target_record(story.target)
    return quota_record(story.quota) if story.quota else None


def _waiting(waiting: Waiting, last: Attempt | None = None) -> Fields:
    """``why`` names the outermost reason; the fields beside it hold them all."""
    aside = waiting.quarantine
    return {
        "job": format_job_id(waiting.job.id),
        "why": waiting_words(waiting, last),
        "dueAt": waiting.job.due_at,
        "publishedUntil": waiting.job.published_until,
        "ahead": waiting.ahead,
        "running": waiting.running and format_job_id(waiting.running.id),
        "quarantine": aside and quarantine_words(waiting.job.remote, aside),
        "pause": waiting.pause and pause_record(waiting.pause, waiting.now),
        "halt": waiting.halt and halt_record(waiting.halt),
    }
