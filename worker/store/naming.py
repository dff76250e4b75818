"""What the remote calls the targets that are wanted, and what the policy has asked of them before."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session

from schemas.names import target_identity
from worker.core.acceptance import EPOCH
from worker.core.naming import Known
from worker.core.policy import WantedTarget
from worker.store.tables import batches, jobs, reconciliations, targets

LIST = "list"


@dataclass(frozen=True, slots=True)
class _Listing:
    began: datetime | None = None
    lists: bool = True


def known_of(session: Session, wanted: Sequence[WantedTarget], source: str) -> dict[str, Known]:
    """By identity. ``source`` is what batches of the policy's wishes are opened as."""
    names = _names(session, {want.coaching_plan_name for want in wanted})
    listings = _listings(session, {want.profile for want in wanted})
    named = {want.identity: names.get(want.identity) for want in wanted}
    asked = _last_asked(session, {*named, *filter(None, named.values())}, source)
    return {want.identity: _known(want, names.get(want.identity), listings, asked) for want in wanted}


def under_way(session: Session, profiles: Collection[str]) -> set[str]:
    """Those that are being listed."""
    columns = reconciliations.c
    query = select(columns.profile).where(columns.profile.in_(sorted(profiles)), columns.finished_at.is_(None))
    return set(session.execute(query).scalars())


def _known(want: WantedTarget, name: str | None, listings: dict[str, _Listing], asked: dict[str, datetime]) -> Known:
    listing = listings.get(want.profile, _Listing())
    before = [asked[one] for one in (want.identity, name) if one in asked]
    return Known(name, listing.began, listing.lists, max(before, default=None))


def _names(session: Session, plans: Collection[str]) -> dict[str, str]:
    """By identity; of several targets for the same, the first by name."""
    columns = targets.c
    identity = (
        columns.scorecard_template_name,
        columns.usecase_name,
        columns.criterion_or_chapter_id,
        columns.coaching_plan_name,
    )
    query = select(*identity, columns.name).where(columns.coaching_plan_name.in_(sorted(plans)))
    return {target_identity(*row[:-1]): row[-1] for row in session.execute(query.order_by(columns.name.desc()))}


def _listings(session: Session, profiles: Collection[str]) -> dict[str, _Listing]:
    """The last complete pass over each profile."""
    columns = reconciliations.c
    complete = (columns.finished_at.is_not(None), columns.error.is_(None), columns.profile.in_(sorted(profiles)))
    last = select(func.max(columns.id)).where(*complete).group_by(columns.profile)
    query = select(columns.profile, columns.started_at, columns.reads).where(columns.id.in_(last))
    return {row.profile: _Listing(row.started_at, row.reads == LIST) for row in session.execute(query)}


def _last_asked(session: Session, resources: Collection[str], source: str) -> dict[str, datetime]:
    """The newest version that was wished for each, under its name or under what it is for."""
    query = (
        select(jobs.c.resource, func.max(jobs.c.version).label("version"))
        .join_from(jobs, batches, batches.c.id == jobs.c.batch_id)
        .where(jobs.c.resource.in_(sorted(resources)), batches.c.source == source)
        .group_by(jobs.c.resource)
    )
    return {row.resource: EPOCH + timedelta(microseconds=row.version) for row in session.execute(query)}
