"""Stories for people: a headline, then what happened, one step a line."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime

from rich.padding import Padding
from rich.text import Text

from schemas.ids import MAX_ROWS, format_job_id
from worker.cli.output import Output
from worker.counts import counted
from worker.store.explaining import BatchStory, JobStory, ResourceStory
from worker.store.explaining_roster import Origins
from worker.store.models import Attempt, Job
from worker.telling.cells import cell, printable
from worker.telling.words import (
    attempt_words,
    batch_state_words,
    counted_words,
    latency_words,
    outcome_words,
    quota_words,
    target_words,
    waiting_words,
)
from worker.telling.words_roster import event_words
from worker.telling.words_webhooks import told_words


def tell_job(story: JobStory, output: Output) -> None:
    job = story.job
    head(output, f"Job {format_job_id(job.id)}", outcome_words(job))
    steps(output, _asked(story))
    steps(output, _origins(story.origins))
    steps(output, _order(story))
    part(output, "Attempts", map(_attempt, story.attempts), none="none yet: nothing was sent for this job")
    if story.waiting:
        last = story.attempts[-1] if story.attempts else None
        part(output, "It waits", [waiting_words(story.waiting, last)])
    part(output, "Known now", _known(story), none="nothing: the remote has not shown it to us")
    if story.told:
        part(output, "Told", told_words(story.told))


def tell_resource(story: ResourceStory, output: Output) -> None:
    newest = f"the newest accepted wish is {_named(story.newest)}" if story.newest else "no wish is kept for it"
    head(output, story.name, newest)
    part(output, "Known now", _known(story), none="nothing: the remote has not shown it to us")
    shown = f", the newest {len(story.wishes):,} of {story.accepted:,}" if len(story.wishes) < story.accepted else ""
    lines = [step for job in story.wishes for step in (_wish(job), *_tried(story.attempts[job.id]))]
    part(output, f"Wishes{shown}", lines, none="none is kept")
    if story.waiting:
        part(output, f"{format_job_id(story.waiting.job.id)} waits", [waiting_words(story.waiting)])


def tell_batch(story: BatchStory, output: Output, now: datetime) -> None:
    batch = story.batch
    head(output, f"Batch {batch.id}", batch_state_words(batch, now))
    label = f", labelled {batch.label!r}" if batch.label else ""
    key = f", with the key {batch.key!r}" if batch.key else ""
    steps(output, [f"came from {batch.source}{label}{key}, in the {batch.lane} lane, at {cell(batch.created_at)}"])
    part(output, "How it adds up", counted_words(batch))
    errors = [
        f"{error.code}: {error.count:,}, for example {format_job_id(error.example.id)}: {error.example.error}"
        for error in story.errors
    ]
    part(output, "What failed", errors, none="nothing")
    refused = [f"line {one.line:,}: {one.field or 'row'}: {one.reason}" for one in story.rejections]
    if refused:
        part(output, f"Rejected, the first {len(refused):,} of {batch.rejected:,}", refused)
    part(output, "Slowest answers", map(_slow, story.slowest), none="none yet")
    if story.example:
        why = waiting_words(story.waiting) if story.waiting else outcome_words(story.example)
        part(output, "Still open", [f"{format_job_id(story.example.id)}, for example: {why}"])
    if story.told:
        part(output, "Told", told_words(story.told))


def head(output: Output, name: str, words: str) -> None:
    output.out.print(Text.assemble((printable(name), "bold"), ": ", printable(words)))


def part(output: Output, title: str, told: Iterable[str], *, none: str = "") -> None:
    output.out.print(Text(f"{title}:", style="bold"))
    steps(output, list(told) or [none])


def steps(output: Output, told: Iterable[str]) -> None:
    for step in told:
        output.out.print(Padding(Text(printable(step)), (0, 0, 0, 2), expand=False))


def _asked(story: JobStory) -> Iterator[str]:
    job, batch = story.job, story.batch
    row = f"row {job.id & MAX_ROWS:,} of batch {job.batch_id}"
    source = f" ({batch.source}{f', {batch.label}' if batch.label else ''})" if batch else ""
    yield f"accepted at {cell(job.created_at)} as {row}{source}, for {job.remote}, {job.lane} lane"
    yield f"asked for {job.resource}"
    yield f"  {_fields(job)}"


def _origins(origins: Origins) -> Iterator[str]:
    for origin in origins.newest:
        yield f"asked for by the rule {origin.ask.rule!r}, because of {event_words(origin.event)}"
    if origins.count > len(origins.newest):
        yield f"and because of {counted(origins.count - len(origins.newest), 'earlier event')}"


def _order(story: JobStory) -> Iterator[str]:
    if story.job.repairs:
        yield f"sees to it that a late write of {format_job_id(story.job.repairs)} does not stay"
    if story.superseded:
        names = ", ".join(format_job_id(job.id) for job in story.supersedes)
        more = (
            f" and {story.superseded - len(story.supersedes):,} older"
            if story.superseded > len(story.supersedes)
            else ""
        )
        yield f"took the place of {names}{more}"
    if story.by:
        yield f"replaced by {_named(story.by)}"
    if story.newest and story.newest.id not in (story.job.id, story.job.superseded_by):
        yield f"the newest accepted wish for it is {_named(story.newest)}"


def _known(story: JobStory | ResourceStory) -> Iterator[str]:
    if story.target:
        yield target_words(story.target)
    if story.quota:
        yield quota_words(story.quota)


def _attempt(attempt: Attempt) -> str:
    status = f"HTTP {attempt.status}" if attempt.status else "no answer"
    return (
        f"{attempt.number}. {cell(attempt.started_at)} {attempt.operation}: {status} after {latency_words(attempt)},"
        f" {attempt_words(attempt)} (request {attempt.request_id}, worker {attempt.worker})"
    )


def _tried(attempts: Iterable[Attempt]) -> Iterator[str]:
    return (f"  {_attempt(attempt)}" for attempt in attempts)


def _slow(attempt: Attempt) -> str:
    return f"{latency_words(attempt)}: {format_job_id(attempt.job_id)}, attempt {attempt.number}, {attempt.operation}"


def _wish(job: Job) -> str:
    return f"{format_job_id(job.id)} at {cell(job.created_at)}: {_fields(job)}: {outcome_words(job)}"


def _fields(job: Job) -> str:
    """What was asked, without the name of what it was asked for."""
    wish = json.loads(job.wish)
    name = wish.pop("name", None) or wish.pop("scorecardTemplateName", None)
    own = {key: value.removeprefix(_home(name)) if isinstance(value, str) else value for key, value in wish.items()}
    return ", ".join(
        f"{key} {json.dumps(value) if isinstance(value, dict) else cell(value)}" for key, value in own.items()
    )


def _home(name: str) -> str:
    return "/".join(name.split("/", 4)[:4]) + "/"


def _named(job: Job) -> str:
    return f"{format_job_id(job.id)} ({job.state})"
