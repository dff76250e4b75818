"""The transaction that writes what became of claimed jobs: states, attempts, known targets, quotas, counters."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from sqlalchemy import case, literal, select, update
from sqlmodel import Session

from api_adapter.rate_limit.policy import cooldown_for
from schemas.coaching import Quota, Target
from schemas.ids import ROW_BITS
from schemas.jobs import JobKind, JobState, QuotaRecalculation
from worker.core.decisions import AMBIGUOUS_PAUSE, EXISTS, Decision, Fail, GiveBack, Retry, Succeed
from worker.core.events import Ended, Event, of_job
from worker.store import batches as batch_store
from worker.store import outbox, wants
from worker.store.acceptance import lock_resources
from worker.store.among import among
from worker.store.bulk import insert_missing, insert_or_replace, insert_rows, update_rows
from worker.store.claims import NO_LEASE, Claimed, by_batch, give_back, let_go, newer_pending
from worker.store.doubts import mark_uncertain
from worker.store.engine import database_now
from worker.store.known import newest_quota
from worker.store.pauses import pause
from worker.store.tables import attempts, jobs, quota_answers, resources, targets

NO_JOB = 0  # in place of a job's id: no batch has this number


@dataclass(frozen=True, slots=True)
class Tried:
    """One call made for a job. ``started_at`` by the database's clock; ``retry_after``: the wait the answer names."""

    operation: str
    started_at: datetime
    latency_ms: float
    status: int | None
    outcome: str
    message: str | None
    request_id: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One claimed job with the calls made for it and the decision that came of them."""

    job: Claimed
    decision: Decision
    tried: tuple[Tried, ...] = ()
    wish: QuotaRecalculation | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """Who writes: the remote it worked for, and its own name for the attempts."""

    remote: str
    name: str


def record(session: Session, records: Sequence[Record], worker: Worker) -> list[Record]:
    """Write everything, and return the late ones: their lease was lost, somebody else has the job, nothing was written.

    Attempts are kept for late ones too: they happened.
    """
    if not records:
        return []
    lock_resources(session, (one.job.resource for one in records))
    ours = _still_ours(session, records)
    mine = [one for one in records if (one.job.id, one.job.fence) in ours]
    late = _not_written(session, [one for one in records if (one.job.id, one.job.fence) not in ours])
    _insert_attempts(session, [*mine, *late], worker)
    now = database_now(session)
    superseded = give_back(session, {one.job.id: one.job.fence for one in mine if isinstance(one.decision, GiveBack)})
    _finish(session, [one for one in mine if isinstance(one.decision, Succeed | Fail)], now)
    superseded += _retry(session, mine, now)
    outbox.tell(session, _events(session, mine), {one.job.id: one.job.traceparent for one in mine})
    _keep_answers(session, mine, now)
    let_go(session, [one.job.resource for one in mine])
    let_go(session, [one.job.resource for one in mine if _in_doubt(one)], not_before=now + AMBIGUOUS_PAUSE)
    _keep_cooldown(session, records, worker.remote)
    batch_store.count(session, _counts(mine, superseded))  # once, and last: batches are locked in one order
    return late


def record_read(session: Session, tried: Tried, worker: Worker) -> None:
    """A request outside of any job: the limiter's memory, and the wait that the answer may have asked for.

    It has just been answered: when it began follows from the database's clock, by which the limiter counts.
    """
    began = database_now(session) - timedelta(milliseconds=tried.latency_ms)
    insert_rows(session, attempts, [_attempt_row(NO_JOB, 0, replace(tried, started_at=began), worker)])
    if tried.retry_after:
        pause(session, worker.remote, None, cooldown_for(tried.retry_after))


def _keep_cooldown(session: Session, records: Sequence[Record], remote: str) -> None:
    waits = [tried.retry_after for one in records for tried in one.tried if tried.retry_after]
    if waits:
        pause(session, remote, None, cooldown_for(max(waits)))


def _in_doubt(one: Record) -> bool:
    return isinstance(one.decision, Fail) and one.decision.doubtful


def _still_ours(session: Session, records: Sequence[Record]) -> set[tuple[int, int]]:
    """Ids and fences of the jobs that still run as they were claimed."""
    ids = sorted({one.job.id for one in records})
    running = select(jobs.c.id, jobs.c.fence).where(among(session, jobs.c.id, ids), jobs.c.state == JobState.RUNNING)
    return {(row.id, row.fence) for row in session.execute(running)}


def _not_written(session: Session, late: Sequence[Record]) -> list[Record]:
    """Without those that we have written ourselves: their commit was done, and its answer lost with the connection."""
    if not late:
        return []
    ids = sorted({one.job.id for one in late})
    query = select(attempts.c.job_id, attempts.c.request_id).where(attempts.c.job_id.in_(ids))
    written = {(row.job_id, row.request_id) for row in session.execute(query)}
    return [one for one in late if not one.tried or (one.job.id, one.tried[0].request_id) not in written]


def _insert_attempts(session: Session, records: Sequence[Record], worker: Worker) -> None:
    rows = [
        _attempt_row(one.job.id, one.job.attempts + number, tried, worker)
        for one in records
        for number, tried in enumerate(one.tried, start=1)
    ]
    insert_rows(session, attempts, rows)


def _attempt_row(job: int, number: int, tried: Tried, worker: Worker) -> dict[str, Any]:
    return {
        "job_id": job,
        "number": number,
        "remote": worker.remote,
        "operation": tried.operation,
        "started_at": tried.started_at,
        "latency_ms": tried.latency_ms,
        "status": tried.status,
        "outcome": tried.outcome,
        "message": tried.message,
        "request_id": tried.request_id,
        "worker": worker.name,
    }


def _finish(session: Session, records: Sequence[Record], now: datetime) -> None:
    update_rows(session, jobs, [_final(one, now) for one in records])


def _final(one: Record, now: datetime) -> dict[str, Any]:
    """While the job is ours nobody else counts its attempts."""
    row = {"id": one.job.id, "attempts": one.job.attempts + len(one.tried), "finished_at": now, **NO_LEASE}
    match one.decision:
        case Succeed(result=result):
            said = {"result": result, "error_code": None, "error": None, "read_first": one.job.read_first}
            return row | {"state": JobState.SUCCEEDED, **said}
        case Fail(code=code, message=message, doubtful=doubtful):
            doubt = one.job.read_first or doubtful
            said = {"result": None, "error_code": code, "error": message, "read_first": doubt}
            return row | {"state": JobState.FAILED, **said}
        case other:
            raise TypeError(f"{other!r} is not final")


def _retry(session: Session, records: Sequence[Record], now: datetime) -> list[int]:
    """Back to pending after a wait, or superseded where a newer wish has come meanwhile; returns the superseded."""
    superseded = []
    for one in records:
        if not isinstance(one.decision, Retry):
            continue
        statement = update(jobs).where(jobs.c.id == one.job.id).values(_waiting(one, one.decision, now))
        state = session.execute(statement.returning(jobs.c.state)).scalar_one()
        if state == JobState.SUPERSEDED:
            superseded.append(one.job.id)
            if one.decision.read_first:
                let_go(session, [one.job.resource], not_before=now + one.decision.after)
    return superseded


def _waiting(one: Record, decision: Retry, now: datetime) -> dict[str, Any]:
    newer, job = newer_pending(), one.job
    return {
        "state": case((newer.is_(None), JobState.PENDING.value), else_=JobState.SUPERSEDED.value),
        "superseded_by": newer,
        "finished_at": case((newer.is_(None), None), else_=literal(now, jobs.c.finished_at.type)),
        "due_at": now + decision.after,
        "published_until": None,
        "attempts": jobs.c.attempts + len(one.tried),
        "failures": jobs.c.failures + int(decision.failure),
        "read_first": job.read_first or decision.read_first,
        "baseline": job.baseline if job.baseline is not None or not job.known else job.known.target,
        **NO_LEASE,
    }


def _counts(records: Sequence[Record], superseded: Sequence[int]) -> dict[int, Counter[str]]:
    deltas: dict[int, Counter[str]] = by_batch(superseded, "superseded")
    for one in records:
        match one.decision:
            case Succeed():
                deltas[one.job.id >> ROW_BITS]["succeeded"] += 1
            case Fail():
                deltas[one.job.id >> ROW_BITS]["failed"] += 1
            case Retry() | GiveBack():
                pass
            case _:
                assert_never(one.decision)
    return deltas


def _keep_answers(session: Session, records: Sequence[Record], now: datetime) -> None:
    known, quotas, doubtful = [], [], []
    for one in records:
        match one.decision:
            case Succeed(known=Target() as target) | Fail(known=Target() as target) if _holds_numbers(target):
                known.append(_target_row(one.job, target, now))
            case Succeed(known=Quota() as quota):
                quotas.append(_quota_row(one, quota, now))
            case Retry(read_first=True) | Fail(doubtful=True) | Succeed(known=Target()) | Fail(known=Target()):
                doubtful.append(one.job.resource)
            case Fail() | Retry() | GiveBack() | Succeed():
                pass
            case _:
                assert_never(one.decision)
    insert_or_replace(session, targets, sorted(known, key=lambda row: row["name"]))
    _name_created(session, records)
    mark_uncertain(session, doubtful)
    insert_rows(session, quota_answers, quotas)


def _name_created(session: Session, records: Sequence[Record]) -> None:
    """A target that was created has a name now, under which it is ordered from here on."""
    created = [
        {"name": one.decision.known.name, "version": one.job.version, "newest_job_id": one.job.id}
        for one in records
        if one.job.kind is JobKind.TARGET_CREATION
        and isinstance(one.decision, Succeed)
        and isinstance(one.decision.known, Target)
    ]
    insert_missing(session, resources, sorted(created, key=lambda row: str(row["name"])))
    exists = (one.job.id for one in records if isinstance(one.decision, Fail) and one.decision.code == EXISTS)
    wants.ask_again(session, list(exists))


def _events(session: Session, records: Sequence[Record]) -> Iterator[Event]:
    """Before the answers are kept: a quota is told against the one that was known before."""
    for one in records:
        match one.decision:
            case Succeed(known=Quota()) as decision:
                before = newest_quota(session, one.job.resource)
                yield from of_job(_ended(one, decision), one.wish, before.total_agent_quota if before else None)
            case Succeed(known=Target() as target) as decision if not _holds_numbers(target):
                yield from of_job(_ended(one, replace(decision, known=None)))
            case Succeed() | Fail() as decision:
                yield from of_job(_ended(one, decision))
            case _:
                pass


def _ended(one: Record, decision: Succeed | Fail) -> Ended:
    job = one.job
    name = job.twin.name if job.twin else job.resource
    return Ended(job.id, job.id >> ROW_BITS, job.round, job.kind, job.resource, job.wish, decision, name)


def _holds_numbers(target: Target) -> bool:
    """A remote may answer NaN or 1e400: no database keeps that, and nothing could be compared with it."""
    return math.isfinite(target.target) and (target.qa_score is None or math.isfinite(target.qa_score))


def _target_row(job: Claimed, target: Target, now: datetime) -> dict[str, Any]:
    return {
        "name": target.name if job.kind is JobKind.TARGET_CREATION else job.resource,
        "scorecard_template_name": target.scorecard_template_name,
        "criterion_or_chapter_id": target.criterion_or_chapter_id,
        "target": target.target,
        "usecase_name": target.usecase_name,
        "coaching_plan_name": target.coaching_plan_name,
        "qa_score": target.qa_score,
        "update_time": target.update_time,
        "uncertain": False,
        "known_at": now,
        "job_id": job.id,
    }


def _quota_row(one: Record, quota: Quota, now: datetime) -> dict[str, Any]:
    assert one.wish is not None  # noqa: S101 - only a quota's job has a quota for an answer
    period = one.wish.evaluation_period
    return {
        "resource": one.job.resource,
        "scorecard_template_name": one.wish.scorecard_template_name,
        "usecase_name": one.wish.usecase_name,
        "total_agent_quota": quota.total_agent_quota,
        "total_active_agents_count": quota.total_active_agents_count,
        "period_start": period and period.start_time,
        "period_end": period and period.end_time,
        "answered_at": now,
        "job_id": one.job.id,
    }
