"""``coachsync explain``: the whole story of a job, a batch, a target, a quota, an event, an agent or a message."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Annotated, assert_never

import typer
from sqlmodel import Session

from schemas.ids import MAX_ROWS, ROW_BITS, parse_batch_id, parse_job_id
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
from worker.store.explaining import BatchStory, JobStory, ResourceStory, batch_story, job_story, resource_story
from worker.store.explaining_roster import (
    AgentStory,
    EventStory,
    agent_story,
    agents_named,
    event_story,
    events_named,
    find_event,
)
from worker.store.explaining_webhooks import MessageStory, message_story
from worker.store.known import quota_resources
from worker.store.listing import find_rejection
from worker.store.roster import find_agent

FORMS = (
    "a job (17-203), a batch (17), a target (customers/…/profiles/…/targets/…),"
    " a quota (customers/…/profiles/…/scorecardTemplates/…@…/quota…),"
    " an event of the roster (e17, or its own id), an agent (their id, or customers/…/profiles/…/agents/…)"
    " or a message (msg_…)"
)
MOST_NAMED = 10
_EVENT = re.compile(r"e[1-9][0-9]{0,17}")
_AGENT = re.compile(r"(customers/[^/]+/profiles/[^/]+)/agents/(.+)")
Story = BatchStory | JobStory | ResourceStory | EventStory | AgentStory | MessageStory
Meant = tuple[str, Story]  # the name that means it and nothing else
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
        meant = [*_ours(session, what), *_known_by_name(session, what, limit, output)]
        meant += _known_by_their_id(session, what, limit)
        if not meant:
            output.fail(_why_nothing(session, what))
        if len(meant) > 1:
            names = ", ".join(name for name, _ in meant)
            output.note(f"{what[:80]!r} names several: {names}; the first is told")
        _, story = meant[0]
        _tell(session, story, output)


def _ours(session: Session, what: str) -> Iterator[Meant]:
    """They come first where somebody else's id reads the same."""
    if _is(parse_batch_id, what) and (batch := batch_story(session, parse_batch_id(what))):
        yield f"batch {what}", batch
    if _is(parse_job_id, what) and (job := job_story(session, parse_job_id(what))):
        yield f"job {what}", job
    if _EVENT.fullmatch(what) and (event := find_event(session, int(what[1:]))):
        yield f"event {what}", event_story(session, event)
    if message := message_story(session, what):
        yield f"message {what}", message


def _known_by_name(session: Session, what: str, limit: int, output: Output) -> Iterator[Meant]:
    if agent := _AGENT.fullmatch(what):
        if row := find_agent(session, *agent.groups()):
            yield what, agent_story(session, row, limit)
    elif what.startswith("customers/") and (
        story := resource_story(session, _one_resource(session, what, output), limit)
    ):
        yield what, story


def _known_by_their_id(session: Session, what: str, limit: int) -> Iterator[Meant]:
    """An event's own id, or an agent's: they come from outside, and may be the same in several places."""
    for event in events_named(session, what):
        yield f"e{event.seq} of {event.source}", event_story(session, event)
    for agent in agents_named(session, what):
        yield f"{agent.profile}/agents/{agent.agent}", agent_story(session, agent, limit)


def _tell(session: Session, story: Story, output: Output) -> None:
    match story:
        case BatchStory():
            now = database_now(session)
            output.json(batch_story_record(story, now)) if output.as_json else tell_batch(story, output, now)
        case JobStory():
            output.json(job_story_record(story)) if output.as_json else tell_job(story, output)
        case ResourceStory():
            output.json(resource_story_record(story)) if output.as_json else tell_resource(story, output)
        case EventStory():
            output.json(event_story_record(story)) if output.as_json else tell_event(story, output)
        case AgentStory():
            output.json(agent_story_record(story)) if output.as_json else tell_agent(story, output)
        case MessageStory():
            record = {"what": "message", **message_record(story)}
            output.json(record) if output.as_json else tell_message(story, output)
        case never:
            assert_never(never)


def _why_nothing(session: Session, what: str) -> str:
    if _is(parse_batch_id, what):
        return f"BATCH: there is no batch {what}; it may have been pruned (coachsync batches list)"
    if _is(parse_job_id, what):
        return f"JOB: there is no job {what}: {_why_no_job(session, parse_job_id(what))}"
    if what.startswith("customers/"):
        return f"NAME: nothing is known of {what[:200]}, and nothing was ever wished for it; expected {FORMS}"
    if _EVENT.fullmatch(what):
        return f"EVENT: there is no event {what}; it may have been pruned"
    return f"NAME|JOB|BATCH|EVENT|AGENT|MESSAGE: {what[:80]!r} is none of these, or is not known: {FORMS}"


def _why_no_job(session: Session, job: int) -> str:
    batch, row = job >> ROW_BITS, job & MAX_ROWS
    if refused := find_rejection(session, job):
        return f"row {row} of batch {batch} was rejected (line {refused.line}): {refused.field}: {refused.reason}"
    return f"batch {batch} has no row {row}, or it was pruned (coachsync batches show {batch})"


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
