"""``coachsync explain``: the whole story of a job, a batch, a target, a quota, an event, an agent or a message."""

from contextlib import closing
from typing import Annotated, assert_never

import typer
from sqlmodel import Session

from worker.cli.options import Json, open_runtime
from worker.cli.output import Output
from worker.cli.tell import tell_batch, tell_job, tell_resource
from worker.cli.tell_roster import tell_agent, tell_event
from worker.cli.tell_webhooks import tell_message
from worker.store.engine import database_now
from worker.store.explaining import BatchStory, JobStory, ResourceStory
from worker.store.explaining_roster import AgentStory, EventStory
from worker.store.explaining_webhooks import MessageStory
from worker.telling.meaning import SeveralQuotas, Story, meant_by, why_nothing
from worker.telling.story_records import story_record

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
        try:
            meant = meant_by(session, what, limit)
        except SeveralQuotas as error:
            output.fail(f"NAME: {error}")
        if not meant:
            output.fail(why_nothing(session, what))
        if len(meant) > 1:
            names = ", ".join(name for name, _ in meant)
            output.note(f"{what[:80]!r} names several: {names}; the first is told")
        _, story = meant[0]
        if as_json:
            output.json(story_record(story, database_now(session)))
        else:
            _tell(session, story, output)


def _tell(session: Session, story: Story, output: Output) -> None:
    match story:
        case BatchStory():
            tell_batch(story, output, database_now(session))
        case JobStory():
            tell_job(story, output)
        case ResourceStory():
            tell_resource(story, output)
        case EventStory():
            tell_event(story, output)
        case AgentStory():
            tell_agent(story, output)
        case MessageStory():
            tell_message(story, output)
        case never:
            assert_never(never)
