"""Stories of events and agents as JSON."""

import json
from typing import Any

from schemas.ids import format_job_id
from worker.store.explaining_roster import AgentStory, AskStory, EventStory, Origin
from worker.store.models import Job
from worker.store.roster_models import RosterEventRow, Want
from worker.telling.records import Fields
from worker.telling.words_roster import approval_words, event_state_words


def event_story_record(story: EventStory) -> Fields:
    return {
        "what": "event",
        **event_record(story.event),
        "told": json.loads(story.event.event),
        "approval": story.approval and approval_words(story.approval),
        "asks": [_ask_record(ask) for ask in story.asks],
    }


def agent_story_record(story: AgentStory) -> Fields:
    agent = story.agent
    return {
        "what": "agent",
        "agent": agent.agent,
        "profile": agent.profile,
        "active": agent.active,
        "record": json.loads(agent.record),
        "changedAt": agent.changed_at,
        "reviewAt": agent.review_at,
        "wants": [want_record(want) for want in story.wants],
        "events": [event_record(event) for event in story.events],
        "eventsTold": story.told,
    }


def event_record(event: RosterEventRow) -> Fields:
    return {
        "event": f"e{event.seq}",
        "source": event.source,
        "id": event.event_id,
        "type": event.type,
        "time": event.time,
        "profile": event.profile,
        "agent": event.agent,
        "door": event.door,
        "state": event.state,
        "outcome": event.outcome,
        "why": event_state_words(event),
        "before": _loaded(event.before),
        "after": _loaded(event.after),
        "approvalId": event.approval_id,
        "receivedAt": event.received_at,
        "plannedAt": event.planned_at,
    }


def want_record(want: Want) -> Fields:
    return {
        "identity": want.identity,
        "target": want.target,
        "rule": want.rule,
        "asOf": want.as_of,
        "asked": want.asked,
        "job": want.job_id and format_job_id(want.job_id),
        "obstacle": want.obstacle,
    }


def origin_record(origin: Origin) -> Fields:
    event = origin.event
    return {
        "rule": origin.ask.rule,
        "event": f"e{event.seq}",
        "source": event.source,
        "id": event.event_id,
        "type": event.type,
        "agent": event.agent,
        "time": event.time,
    }


def _ask_record(story: AskStory) -> Fields:
    return {
        "rule": story.ask.rule,
        "resource": story.ask.resource,
        "job": _job(story.job),
        "endedAs": _job(story.last),
        "want": story.want and want_record(story.want),
    }


def _job(job: Job | None) -> Fields | None:
    if job is None:
        return None
    return {"job": format_job_id(job.id), "state": str(job.state), "result": job.result}


def _loaded(text: str | None) -> Any:
    return None if text is None else json.loads(text)
