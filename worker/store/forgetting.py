"""What is known of a remote, and how it is forgotten: where it is, its targets, its quotas, the passes over it.

The work itself stays: jobs, attempts and the order of wishes are ours.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, false, func, or_, select, update
from sqlmodel import Session

from schemas.jobs import JobState
from worker.store.cadences import listing_of
from worker.store.tables import cadences, drifts, jobs, quota_answers, reconciliations, remotes, targets, wants


@dataclass(frozen=True, slots=True)
class Serves:
    """The customers of a remote: these, or all ``but`` these."""

    customers: tuple[str, ...]
    but: bool = False

    def names(self, column: ColumnElement[str], before: str = "") -> ColumnElement[bool]:
        """The column's names that are its customers'; ``before`` stands before each of them."""
        prefixes = [f"{before}customers/{customer}/" for customer in self.customers]
        its = or_(false(), *(func.substr(column, 1, len(one)) == one for one in prefixes))
        return ~its & (func.substr(column, 1, len(before)) == before) if self.but else its


@dataclass(frozen=True, slots=True)
class Known:
    """How much is known of a remote, and how many jobs for it are ``open``."""

    api_url: str | None
    targets: int
    quotas: int
    open: int


def known_of(session: Session, name: str, serves: Serves) -> Known:
    def count(what: Any, table: Table, *where: ColumnElement[bool]) -> int:
        return int(session.execute(select(func.count(what)).select_from(table).where(*where)).scalar_one())

    still_open = (jobs.c.remote == name, jobs.c.state.in_((JobState.PENDING, JobState.RUNNING)))
    return Known(
        api_url=session.execute(select(remotes.c.api_url).where(remotes.c.name == name)).scalar_one_or_none(),
        targets=count(targets.c.name, targets, serves.names(targets.c.name)),
        quotas=count(quota_answers.c.resource.distinct(), quota_answers, serves.names(quota_answers.c.resource)),
        open=count(jobs.c.id, jobs, *still_open),
    )


def forget(session: Session, name: str, serves: Serves) -> Known:
    """Unless jobs for it are open. Returns what it was; what the policy wants of its targets is asked for anew."""
    found = known_of(session, name, serves)
    if found.open:
        return found
    passes = select(reconciliations.c.id).where(reconciliations.c.remote == name)
    gone = (
        (drifts, drifts.c.reconciliation_id.in_(passes)),
        (reconciliations, reconciliations.c.remote == name),
        (cadences, serves.names(cadences.c.name, before=listing_of(""))),
        (quota_answers, serves.names(quota_answers.c.resource)),
        (targets, serves.names(targets.c.name)),
        (remotes, remotes.c.name == name),
    )
    for table, its in gone:
        session.execute(delete(table).where(its))
    anew = update(wants).where(serves.names(wants.c.profile)).values(asked=False, job_id=None, obstacle=None)
    session.execute(anew)
    return found
