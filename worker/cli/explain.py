"""``coachsync explain``: the whole story of a job, a batch, a target or a quota."""

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
from worker.cli.tell import tell_batch, tell_job, tell_resource
from worker.store.engine import database_now
from worker.store.explaining import batch_story, job_story, resource_story
from worker.store.known import quota_resources
from worker.store.listing import find_rejection

FORMS = (
    "a job (17-203), a batch (17), a target (customers/…/profiles/…/targets/…)"
    " or a quota (customers/…/profiles/…/scorecardTemplates/…@…/quota…)"
)
MOST_NAMED = 10
Limit = Annotated[
    int, typer.Option("--limit", min=1, max=10_000, help="At most this many wishes of a target or quota.")
]


def register(root: typer.Typer) -> None:
    root.command()(explain)


def explain(
    what: Annotated[
        str,
        typer.Argument(
            help="A job (17-203), a batch (17), or the name of a target or quota.", metavar="NAME|JOB|BATCH"
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
        else:
            output.fail(f"NAME|JOB|BATCH: {what[:80]!r} is none of these: {FORMS}")


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
