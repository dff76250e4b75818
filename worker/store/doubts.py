"""What an attempt without an answer leaves behind: targets we are no longer certain of, values that may be ours."""

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import or_, select, update
from sqlmodel import Session

from schemas.jobs import JobKind, JobState, TargetUpdate
from worker.store.tables import jobs, targets

_ENDED_IN_DOUBT = (JobState.SUPERSEDED, JobState.FAILED, JobState.CANCELLED)


def mark_uncertain(session: Session, names: Iterable[str]) -> None:
    """An attempt may have changed these targets; what we knew of them no longer proves anything."""
    if some := sorted(set(names)):
        session.execute(update(targets).where(targets.c.name.in_(some)).values(uncertain=True))


def values_in_doubt(session: Session, names: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """What jobs that ended in doubt may have left at each target since it was last known: their wish, or a late one.

    Found there by a newer wish that reads first, it is no person's change.
    """
    found: dict[str, set[float]] = defaultdict(set)
    if some := sorted(set(names)):
        query = (
            select(jobs.c.resource, jobs.c.wish, jobs.c.baseline)
            .join_from(jobs, targets, targets.c.name == jobs.c.resource, isouter=True)
            .where(jobs.c.resource.in_(some), jobs.c.kind == JobKind.TARGET_UPDATE, jobs.c.read_first)
            .where(jobs.c.state.in_(_ENDED_IN_DOUBT))
            .where(or_(targets.c.name.is_(None), jobs.c.finished_at >= targets.c.known_at))
        )
        for row in session.execute(query):
            found[row.resource] |= {TargetUpdate.model_validate_json(row.wish).target, row.baseline} - {None}
    return {name: tuple(sorted(values)) for name, values in found.items()}
