"""The transaction that accepts one page of wishes: the only place where jobs are born."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlmodel import Session

from schemas.ids import ROW_BITS
from schemas.jobs import JobKind, JobState
from schemas.lanes import Lane
from worker.core.acceptance import (
    Acceptance,
    Accepted,
    Earlier,
    Fate,
    KnownIdentity,
    Offer,
    Quiet,
    Standing,
    plan_acceptance,
)
from worker.store import batches as batch_store
from worker.store.among import among
from worker.store.bulk import insert_missing, insert_rows, update_rows
from worker.store.engine import database_now
from worker.store.tables import jobs, rejections, resources, targets

IN_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was refused before it was an offer: it could not be read as a wish."""

    id: int
    line: int
    field: str
    reason: str
    value: str


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one batch that are accepted in one transaction."""

    batch_id: int
    lane: Lane
    offers: Sequence[Offer]
    rejected: Sequence[Rejected] = ()
    forced: bool = False
    quiet: Quiet | None = None


def accept_page(session: Session, page: Page, remote_of: Callable[[str], str]) -> Acceptance:
    """Accept, supersede, refuse: all of the page or nothing. ``remote_of`` maps a resource to its remote's name."""
    now = database_now(session)
    names = sorted({offer.wish.resource for offer in page.offers})
    standings = _standings(session, names, {offer.wish.resource for offer in page.offers if offer.seen})
    earlier = earlier_keys(session, page.offers)
    plan = plan_acceptance(page.offers, standings, earlier, now, forced=page.forced, quiet=page.quiet)
    _supersede(session, plan.superseded, now)
    _insert_jobs(session, page, plan, now, remote_of)
    _insert_rejections(session, page, plan)
    _raise_versions(session, plan, standings)
    batch_store.count(session, _counts(page, plan))
    return plan


def lock_resources(session: Session, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Lock resource rows in name order; returns version and newest job of each."""
    found: dict[str, tuple[int, int]] = {}
    for some in _slices(sorted(set(names))):
        rows = session.execute(
            select(resources.c.name, resources.c.version, resources.c.newest_job_id)
            .where(among(session, resources.c.name, some))
            .order_by(resources.c.name)
            .with_for_update()
        )
        found |= {row.name: (row.version, row.newest_job_id) for row in rows}
    return found


def _supersede(session: Session, newer: dict[int, int], now: datetime) -> None:
    """End pending jobs, locked before, that a newer one replaces."""
    if newer:
        session.execute(
            update(jobs)
            .where(jobs.c.id == bindparam("job"))
            .values(state=JobState.SUPERSEDED, superseded_by=bindparam("by"), finished_at=now, published_until=None),
            [{"job": job, "by": by} for job, by in sorted(newer.items())],
        )


def _standings(session: Session, names: list[str], seen: Collection[str]) -> dict[str, Standing]:
    insert_missing(session, resources, [{"name": name, "version": 0, "newest_job_id": 0} for name in names])
    versions = lock_resources(session, names)
    active = _lock_active(session, names)
    known: dict[str, KnownIdentity] = {}
    for some in _slices(names):
        known |= known_identities(session, some)
    newest_of_seen = [versions[name][1] for name in seen if name in versions]
    accepted = accepted_values(session, newest_of_seen)
    return {
        name: Standing(
            version=version,
            newest_job_id=newest,
            pending_job_id=pending.id if (pending := active[name].get(JobState.PENDING)) else None,
            running=JobState.RUNNING in active[name],
            known=known.get(name),
            not_before=pending.due_at if pending and pending.read_first else None,
            debounced_since=pending.debounced_since if pending else None,
            accepted=accepted.get(newest),
        )
        for name, (version, newest) in versions.items()
    }


def _lock_active(session: Session, names: list[str]) -> dict[str, dict[str, Any]]:
    """The pending and the running job of each resource, locked: a claim locks no resource, and may be taking one now.

    Without the lock a job seen as pending could be on its way to the remote while a wish beside it is found unchanged.
    """
    active: dict[str, dict[str, Any]] = defaultdict(dict)
    for some in _slices(names):
        rows = session.execute(
            select(jobs.c.resource, jobs.c.state, jobs.c.id, jobs.c.due_at, jobs.c.read_first, jobs.c.debounced_since)
            .where(among(session, jobs.c.resource, some), jobs.c.state.in_((JobState.PENDING, JobState.RUNNING)))
            .order_by(jobs.c.id)
            .with_for_update()
        )
        for row in rows:
            active[row.resource][row.state] = row
    return active


def known_identities(session: Session, names: Sequence[str]) -> dict[str, KnownIdentity]:
    columns = targets.c
    query = select(
        columns.name,
        columns.scorecard_template_name,
        columns.criterion_or_chapter_id,
        columns.target,
        columns.usecase_name,
        columns.coaching_plan_name,
        columns.qa_score,
        columns.uncertain,
    ).where(among(session, columns.name, names))
    return {row[0]: KnownIdentity(*row[1:]) for row in session.execute(query)}


def accepted_values(session: Session, job_ids: Iterable[int]) -> dict[int, float]:
    """The values that these jobs wish, of those that are kept."""
    found: dict[int, float] = {}
    for some in _slices(sorted(set(job_ids))):
        query = select(jobs.c.id, jobs.c.wish).where(jobs.c.id.in_(some), jobs.c.kind == JobKind.TARGET_UPDATE)
        found |= {row.id: json.loads(row.wish)["target"] for row in session.execute(query)}
    return found


def earlier_keys(session: Session, offers: Sequence[Offer]) -> dict[str, Earlier]:
    keys = sorted({offer.wish.request_key for offer in offers if offer.wish.request_key})
    found: dict[str, Earlier] = {}
    for some in _slices(keys):
        query = select(jobs.c.request_key, jobs.c.id, jobs.c.wish).where(jobs.c.request_key.in_(some))
        found |= {row.request_key: Earlier(row.id, row.wish) for row in session.execute(query)}
    return found


_STATES = {
    Fate.QUEUED: JobState.PENDING,
    Fate.SUPERSEDED: JobState.SUPERSEDED,
    Fate.REPEATED: JobState.SUPERSEDED,
    Fate.UNCHANGED: JobState.SUCCEEDED,
}


def _insert_jobs(
    session: Session, page: Page, plan: Acceptance, now: datetime, remote_of: Callable[[str], str]
) -> None:
    rows = [_job_row(page, accepted, now, remote_of) for accepted in plan.accepted]
    insert_rows(session, jobs, rows)


def _job_row(page: Page, accepted: Accepted, now: datetime, remote_of: Callable[[str], str]) -> dict[str, Any]:
    offer, fate = accepted.offer, accepted.fate
    wish = offer.wish
    return {
        "id": offer.id,
        "batch_id": page.batch_id,
        "kind": wish.kind,
        "remote": remote_of(wish.resource),
        "lane": wish.priority or page.lane,
        "resource": wish.resource,
        "wish": offer.wish_text,
        "version": accepted.version,
        "request_key": None if fate is Fate.REPEATED else wish.request_key,
        "forced": page.forced,
        "state": _STATES[fate],
        "due_at": max(now, accepted.not_before or now),
        "result": None if fate is Fate.QUEUED else fate,
        "superseded_by": accepted.by,
        "debounced_since": accepted.debounced_since,
        "traceparent": offer.traceparent,
        "created_at": now,
        "finished_at": None if fate is Fate.QUEUED else now,
    }


def _insert_rejections(session: Session, page: Page, plan: Acceptance) -> None:
    refused = [
        Rejected(refusal.offer.id, refusal.offer.line, refusal.field, refusal.reason, refusal.value)
        for refusal in plan.refused
    ]
    rows = [
        {
            "job_id": row.id,
            "batch_id": page.batch_id,
            "line": row.line,
            "field": row.field,
            "reason": row.reason,
            "value": row.value,
        }
        for row in [*page.rejected, *refused]
    ]
    insert_rows(session, rejections, rows)


def _raise_versions(session: Session, plan: Acceptance, before: dict[str, Standing]) -> None:
    rows = [
        {"name": name, "version": standing.version, "newest_job_id": standing.newest_job_id}
        for name, standing in sorted(plan.standings.items())
        if standing is not before.get(name)
    ]
    update_rows(session, resources, rows)


def _counts(page: Page, plan: Acceptance) -> dict[int, Counter[str]]:
    deltas: dict[int, Counter[str]] = defaultdict(Counter)
    fates = Counter(accepted.fate for accepted in plan.accepted)
    rejected = len(page.rejected) + len(plan.refused)
    deltas[page.batch_id] += Counter(
        rows=len(plan.accepted) + rejected,
        accepted=len(plan.accepted),
        rejected=rejected,
        superseded=fates[Fate.SUPERSEDED] + fates[Fate.REPEATED],
        succeeded=fates[Fate.UNCHANGED],
        unchanged=fates[Fate.UNCHANGED],
    )
    for job in plan.superseded:
        deltas[job >> ROW_BITS]["superseded"] += 1
    return deltas


def _slices(names: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (names[start : start + IN_AT_ONCE] for start in range(0, len(names), IN_AT_ONCE))
