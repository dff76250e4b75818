"""Arguments and options that name things: read as text, checked here, refused in one line."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from schemas.ids import parse_batch_id, parse_job_id
from schemas.lanes import Lane
from worker.cli.output import Output
from worker.store.selection import Selection
from worker.telling.meaning import names_template

T = TypeVar("T")

ErrorCode = Annotated[str | None, typer.Option("--error", help="Failed with this code.", metavar="CODE")]
BatchId = Annotated[str | None, typer.Option("--batch", help="Of this batch.", metavar="ID")]
ResourceName = Annotated[
    str | None, typer.Option("--resource", help="For this target or quota, by its name.", metavar="NAME")
]
RemoteName = Annotated[str | None, typer.Option("--remote", help="For this remote.", metavar="NAME")]
InLane = Annotated[Lane | None, typer.Option("--lane", help="In this lane.")]


def checked(name: str, parse: Callable[[str], T], text: str, output: Output) -> T:
    """What an argument or option says; text that cannot be meant ends the command."""
    try:
        return parse(text)
    except ValueError as error:
        output.fail(f"{name}: {error}")


def checked_if_given(name: str, parse: Callable[[str], T], text: str | None, output: Output) -> T | None:
    return None if text is None else checked(name, parse, text, output)


def selection(
    output: Output,
    *,
    error: str | None,
    batch: str | None,
    resource: str | None,
    remote: str | None,
    lane: Lane | None,
) -> Selection:
    return Selection(
        error_code=error,
        batch_id=checked_if_given("--batch", parse_batch_id, batch, output),
        resource=resource_named(resource) if resource else None,
        remote=remote,
        lane=lane,
    )


def job_ids(texts: list[str], output: Output) -> list[int]:
    return [checked("JOB", parse_job_id, text, output) for text in texts]


def resource_named(text: str) -> str:
    """A target's name, or a quota's; a template with its revision stands for the quota asked without anything else."""
    return f"{text}/quota" if "@" in text and names_template(text) else text
