"""``coachsync explain``: the whole story of a job, a batch, a target, a quota, an event, an agent or a message."""

import re
from collections.abc import Callable
from contextlib import closing
from typing import Annotated

import typer
from sqlmodel import Session

from schemas.ids import MAX_ROWS, ROW_BITS, format_job_id, parse_batch_id, parse_job_id
from worker.cli.filters import names_template
from worker.cli.options import Json, open_runtime
from worker.cli.output import Output
from worker.cli.story_records import batch_story_record, job_story_record, resource_story_record
from worker.cli.story_records_roster import agent_story_record, event_story_record
from worker.cli.tell import tell_batch, tell_job, tell_resource
from worker.cli.tell_roster import tell_agent, tell_event
from worker.cli.tell_webhooks import tell_message
from worker.cli.words_webhooks import message_record
from worker.store.engine import database_now
from worker.store.explaining import batch_story, job_story, resource_story
from worker.store.explaining_roster import agent_story, agents_named, event_story, events_named, find_event
from worker.store.explaining_webhooks import MessageStory, message_story
from worker.store.known import quota_resources
from worker.store.listing import find_rejection
from worker.store.roster_models import AgentRow, RosterEventRow

FORMS = (
    "a job (17-203), a batch (17), a target (customers/…/profiles/…/targets/…),"
    " a quota (customers/…/profiles/…/scorecardTemplates/…@…/quota…),"
    " an event of the roster (e17, or its own id), an agent (their id) or a message (msg_…)"
)
MOST_NAMED = 10
_EVENT = re.compile(r"e[1-9][0-9]{0,17}")
Limit = Annotated[
    int, typer.Option("--limit", min=1, max=10_000, help="At most this many wishes of a target or quota.")
]


def register(root: typer.Typer) -> None:
    root.command()(explain)


def explain(
    what: Annotated[
        str,
        typer.Argument(
            help="A job (17-203), a batch (17), the name of a target or quota, an event, an agent or a message.",
            metavar="NAME|JOB|BATCH|EVENT|AGENT|MESSAGE",
        ),
    ],
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Tell the whole story: who asked for what, what was tried and answered, what came of it, and why it waits.

    Example: coachsync explain 17-203

    Example: coachsync explain customers/acme/profiles/support/targets/t-17
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        if _is(parse_batch_id, what):
            _explain_batch(session, parse_batch_id(what), output)
        elif _is(parse_job_id, what):
            _explain_job(session, parse_job_id(what), output)
        elif what.startswith("customers/"):
            _explain_resource(session, _one_resource(session, what, output), limit, output)
        elif message := message_story(session, what):
            _tell_message(message, output)
        elif _EVENT.fullmatch(what):
            _explain_event(session, int(what[1:]), output)
        else:
            _explain_by_id(session, what, limit, output)


def _explain_batch(session: Session, batch: int, output: Output) -> None:
    story = batch_story(session, batch)
    now = database_now(session)
    if story is None:
        output.fail(f"BATCH: there is no batch {batch}; it may have been pruned (coachsync batches list)")
    if output.as_json:
        output.json(batch_story_record(story, now))
    else:
        tell_batch(story, output, now)


def _explain_job(session: Session, job: int, output: Output) -> None:
    story = job_story(session, job)
    if story is None:
        output.fail(f"JOB: there is no job {format_job_id(job)}: {_why_no_job(session, job)}")
    if output.as_json:
        output.json(job_story_record(story))
    else:
        tell_job(story, output)


def _why_no_job(session: Session, job: int) -> str:
    batch, row = job >> ROW_BITS, job & MAX_ROWS
    if refused := find_rejection(session, job):
        return f"row {row} of batch {batch} was rejected (line {refused.line}): {refused.field}: {refused.reason}"
    return f"batch {batch} has no row {row}, or it was pruned (coachsync batches show {batch})"


def _explain_resource(session: Session, name: str, limit: int, output: Output) -> None:
    story = resource_story(session, name, limit)
    if story is None:
        output.fail(f"NAME: nothing is known of {name[:200]}, and nothing was ever wished for it; expected {FORMS}")
    if output.as_json:
        output.json(resource_story_record(story))
    else:
        tell_resource(story, output)


def _explain_event(session: Session, seq: int, output: Output) -> None:
    event = find_event(session, seq)
    if event is None:
        output.fail(f"EVENT: there is no event e{seq}; it may have been pruned")
    _tell_event(session, event, output)


def _explain_by_id(session: Session, what: str, limit: int, output: Output) -> None:
    """An event's own id, or an agent's: they come from outside, and may be the same in several places."""
    events, agents = events_named(session, what), agents_named(session, what)
    if len(events) + len(agents) > 1:
        named = [
            *(f"e{event.seq} of {event.source}" for event in events),
            *(f"an agent of {one.profile}" for one in agents),
        ]
        output.note(f"{what[:80]!r} names several: {', '.join(named)}; the first is told")
    if events:
        _tell_event(session, events[0], output)
    elif agents:
        _tell_agent(session, agents[0], limit, output)
    else:
        output.fail(f"NAME|JOB|BATCH|EVENT|AGENT|MESSAGE: {what[:80]!r} is none of these, or is not known: {FORMS}")


def _tell_event(session: Session, event: RosterEventRow, output: Output) -> None:
    story = event_story(session, event)
    if output.as_json:
        output.json(event_story_record(story))
    else:
        tell_event(story, output)


def _tell_agent(session: Session, agent: AgentRow, limit: int, output: Output) -> None:
    story = agent_story(session, agent, limit)
    if output.as_json:
        output.json(agent_story_record(story))
    else:
        tell_agent(story, output)


def _tell_message(story: MessageStory, output: Output) -> None:
    if output.as_json:
        output.json({"what": "message", **message_record(story)})
    else:
        tell_message(story, output)


def _one_resource(session: Session, name: str, output: Output) -> str:
    """A template with its revision stands for its quota, if it has one only."""
    if not names_template(name):
        return name
    found = quota_resources(session, name, MOST_NAMED)
    if len(found) > 1:
        output.fail(f"NAME: {name} has several quotas; name one of them: {' '.join(found)}")
    return found[0] if found else name


def _is(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
