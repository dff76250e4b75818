"""What the work is about: targets, quotas, agents, and the events of the roster."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlmodel import Session

from schemas.ids import format_job_id
from schemas.jobs import JobState
from schemas.names import profile_of
from worker.console.desk import PAGE, Desk, NotThere, Page, number_of
from worker.console.plot import Moment, Value, history_plot
from worker.counts import counted
from worker.store import insight, known, roster
from worker.store.engine import database_now
from worker.store.explaining_roster import agent_story, event_story, find_event
from worker.store.known import QuotaFilter, TargetFilter
from worker.store.models import Job, QuotaAnswer
from worker.store.roster import AgentFilter
from worker.store.roster_models import RosterEventRow
from worker.telling.cells import cell
from worker.telling.records import current_quota_record, job_record, quota_record, target_record
from worker.telling.roster_records import agent_record, agent_row, fact_rows
from worker.telling.story_records_roster import event_record, event_story_record, want_record
from worker.telling.target_view import target_view
from worker.telling.words import reason_words
from worker.telling.words_roster import ask_words, event_words, unasked_words

DRAWN = 200
MARKED = 100
EVENTS_SHOWN = 50
_KINDS = {JobState.SUCCEEDED: "held", JobState.FAILED: "failed", JobState.SUPERSEDED: "passed"}


def list_targets(desk: Desk, session: Session) -> Page:
    chosen = TargetFilter(
        prefix=desk.asked("prefix"), uncertain=desk.asked("uncertain") is not None, customers=desk.customers
    )
    found = known.list_targets(session, chosen, PAGE, desk.asked("after"))
    facts = {
        "targets": [target_record(one) for one in found],
        "after": found[-1].name if len(found) == PAGE else None,
        "asked": desk.query,
    }
    return Page("targets.html", "Targets", facts)


def show_target(desk: Desk, session: Session) -> Page:
    name = desk.path["name"]
    view = target_view(session, name) if desk.viewer.sees(name) else None
    if view is None:
        raise NotThere(f"Nothing is known of {name[:200]}, and nothing was ever wished for it.")
    wishes = insight.wishes_of(session, name, DRAWN)
    facts = {
        "name": name,
        "target": view["known"],
        "differences": view["differences"],
        "wishes": [job_record(one) | {"why": reason_words(one)} for one in wishes],
        "drifts": insight.drifts_of(session, name, PAGE),
        "plot": history_plot(list(_values(wishes)), [], database_now(session)),
        "most": DRAWN,
    }
    return Page("target.html", name.rpartition("/")[2], facts)


def list_quotas(desk: Desk, session: Session) -> Page:
    chosen = QuotaFilter(desk.asked("template"), desk.asked("usecase"), desk.asked("after"), desk.customers)
    found = known.list_quotas(session, chosen, PAGE)
    facts = {
        "quotas": [current_quota_record(one) for one in found],
        "after": found[-1].answer.resource if len(found) == PAGE else None,
        "asked": desk.query,
    }
    return Page("quotas.html", "Quotas", facts)


def show_quota(desk: Desk, session: Session) -> Page:
    """The answers over time, with what has moved the roster beside them."""
    name = desk.path["name"]
    answers = insight.answers_of(session, name, DRAWN)
    wishes = insight.wishes_of(session, name, EVENTS_SHOWN)
    if not (answers or wishes) or not desk.viewer.sees(name):
        raise NotThere(f"Nothing is known of {name[:200]}, and it was never asked for.")
    now = database_now(session)
    events = _changes(session, name, answers, now)
    quotas = [Value(one.answered_at, one.total_agent_quota, _quota_words(one)) for one in reversed(answers)]
    facts = {
        "name": name,
        "answers": [quota_record(one) for one in answers],
        "wishes": [job_record(one) | {"why": reason_words(one)} for one in wishes],
        "events": [event_record(one) | {"words": event_words(one)} for one in events],
        "plot": history_plot(quotas, [Moment(one.time, event_words(one), _verb(one)) for one in events], now),
        "most": DRAWN,
    }
    return Page("quota.html", name.rpartition("/scorecardTemplates/")[2], facts)


def list_agents(desk: Desk, session: Session) -> Page:
    profile, _, agent = (desk.asked("after") or "").rpartition("/agents/")
    chosen = AgentFilter(
        profile=desk.asked("profile"),
        there=desk.asked("gone") is None,
        after=agent or None,
        after_profile=profile or None,
        customers=desk.customers,
    )
    found = roster.list_agents(session, chosen, PAGE)
    last = found[-1] if len(found) == PAGE else None
    facts = {
        "agents": [agent_row(one) for one in found],
        "after": last and f"{last.profile}/agents/{last.agent}",
        "asked": desk.query,
        "gone": not chosen.there,
    }
    return Page("agents.html", "Agents", facts)


def show_agent(desk: Desk, session: Session) -> Page:
    profile, found, agent = desk.path["name"].partition("/agents/")
    row = roster.find_agent(session, profile, agent) if found and desk.viewer.sees(f"{profile}/") else None
    if row is None:
        raise NotThere(f"There is no agent {desk.path['name'][:200]!r}.")
    story = agent_story(session, row, EVENTS_SHOWN)
    facts = {
        "agent": agent_record(row),
        "name": desk.path["name"],
        "row": agent_row(row),
        "facts": fact_rows(row),
        "wants": [want_record(one) for one in story.wants],
        "events": [event_record(one) | {"words": event_words(one)} for one in story.events],
        "told": story.told,
    }
    return Page("agent.html", row.agent, facts)


def show_event(desk: Desk, session: Session) -> Page:
    number = number_of("event", desk.path["event"].removeprefix("e"))
    event = find_event(session, number)
    if event is None or not desk.viewer.sees(f"{event.profile}/"):
        raise NotThere(f"There is no event e{number}; it may have been pruned.")
    story = event_story(session, event)
    facts = {
        "event": event_story_record(story),
        "words": event_words(event),
        "asks": [ask_words(ask) for ask in story.asks],
        "unasked": unasked_words(event),
        "raw": json.dumps(json.loads(event.event), indent=2, ensure_ascii=False),
    }
    return Page("event.html", f"Event e{event.seq}", facts)


def _values(wishes: Sequence[Job]) -> Iterator[Value]:
    """Oldest first, at the time at which each was decided."""
    ended = [(one.finished_at or one.created_at, one) for one in wishes]
    for at, job in sorted(ended, key=lambda pair: pair[0]):
        value = json.loads(job.wish).get("target")
        if value is None:
            continue
        state = JobState(job.state)
        words = f"{cell(float(value))}: {format_job_id(job.id)} {state}, {cell(at)}"
        holds = state is JobState.SUCCEEDED and job.result != "adopted"
        yield Value(at, float(value), words, _KINDS.get(state, "open"), holds)


def _changes(session: Session, name: str, answers: Sequence[QuotaAnswer], now: datetime) -> Sequence[RosterEventRow]:
    if not answers:
        return []
    return insight.roster_changes(session, profile_of(name), answers[-1].answered_at, now, MARKED)


def _quota_words(answer: QuotaAnswer) -> str:
    agents = counted(answer.total_active_agents_count, "agent")
    return f"{answer.total_agent_quota:,} for {agents}, {cell(answer.answered_at)}"


def _verb(event: RosterEventRow) -> str:
    return event.type.rpartition(".")[2]
