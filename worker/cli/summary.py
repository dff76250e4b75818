"""What came of a batch beside its counters: what failed by code, the first rejected rows, the quotas asked for."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlmodel import Session

from schemas.ids import job_id
from schemas.jobs import JobKind
from worker.cli.output import Output
from worker.counts import counted
from worker.store.known import answers_of
from worker.store.listing import errors_of_batch, find_jobs, first_rejections
from worker.store.models import Batch
from worker.telling.cells import printable
from worker.telling.records import Fields, current_quota_record, error_record, rejection_record

FIRST_REJECTIONS = 3
FIRST_QUOTAS = 20
MOST_QUOTAS = 1_000
QUOTA_COLUMNS = ("resource", "totalAgentQuota", "previous", "totalActiveAgentsCount", "answeredAt")


@dataclass(frozen=True, slots=True)
class Summary:
    """``quotas``: the answers since the batch was accepted, for its first rows."""

    batch: Batch
    errors: list[Fields]
    rejections: list[Fields]
    quotas: list[Fields]

    @property
    def record(self) -> Fields:
        return {"errors": self.errors, "rejections": self.rejections, "quotas": self.quotas}


def summarise(session: Session, batch: Batch, *, rejections: int = FIRST_REJECTIONS) -> Summary:
    return Summary(
        batch,
        [error_record(error) for error in errors_of_batch(session, batch)],
        [rejection_record(one) for one in first_rejections(session, batch.id, rejections)] if batch.rejected else [],
        list(_quotas(session, batch)),
    )


def tell_summary(summary: Summary, output: Output) -> None:
    for line in (*_error_lines(summary), *_rejection_lines(summary)):
        output.say(f"  {printable(line)}")
    tell_quotas(summary, output)


def tell_quotas(summary: Summary, output: Output) -> None:
    if summary.quotas:
        output.say("")
        output.table(QUOTA_COLUMNS, summary.quotas[:FIRST_QUOTAS], empty="")
    if summary.batch.rows > FIRST_QUOTAS and summary.quotas:
        output.say("All answers: coachsync quotas list")


def _error_lines(summary: Summary) -> Iterator[str]:
    for error in summary.errors:
        code, example = error["errorCode"], f"{error['example']}, {error['resource']}"
        yield f"{error['count']:,} failed with {code}, such as {example}: {error['error']}"
        yield f"  coachsync jobs list --batch {summary.batch.id} --error {code}"


def _rejection_lines(summary: Summary) -> Iterator[str]:
    for one in summary.rejections:
        yield f"rejected: line {one['line']}: {one['field'] or 'row'}: {one['reason']}"
    if (more := summary.batch.rejected - len(summary.rejections)) > 0:
        yield f"rejected: {counted(more, 'more row')}: coachsync batches show {summary.batch.id}"


def _quotas(session: Session, batch: Batch) -> Iterator[Fields]:
    """An answer from before the batch is none to it: where its job failed, say."""
    rows = range(1, min(batch.rows, MOST_QUOTAS) + 1)
    jobs = find_jobs(session, [job_id(batch.id, row) for row in rows])
    resources = dict.fromkeys(job.resource for job in jobs if job.kind == JobKind.QUOTA_RECALCULATION)
    answers = answers_of(session, resources)
    for name in resources:
        if name in answers and answers[name].answer.answered_at >= batch.created_at:
            yield current_quota_record(answers[name])
