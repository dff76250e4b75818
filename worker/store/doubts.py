"""What an attempt without an answer leaves behind: targets we are no longer certain of, values that may be ours."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, and_, or_, select, update
from sqlmodel import Session

from schemas.jobs import JobKind, JobState, TargetUpdate
from worker.store.tables import jobs, targets

_ENDED_IN_DOUBT = (JobState.SUPERSEDED, JobState.FAILED, JobState.CANCELLED)


def mark_uncertain(session: Session, names: Iterable[str]) -> None:
    """An attempt may have changed these targets; what we knew of them no longer proves anything."""
    if some := sorted(set(names)):
        session.execute(update(targets).where(targets.c.name.in_(some)).values(uncertain=True))


def values_in_doubt(session: Session, names: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """What we may have left at each target ourselves, for the running job that reads it first.

    Jobs that ended in doubt since the target was last known may have left their wish, and what was there before it is
    no later change; the late write that a repair makes good is there or was.
    """
    found: dict[str, set[float]] = defaultdict(set)
    for row in session.execute(_in_doubt(sorted(set(names)))) if names else ():
        if row.state != JobState.RUNNING:
            found[row.resource] |= {_value(row.wish), row.baseline} - {None}
        if row.late is not None:
            found[row.resource].add(_value(row.late))
    return {name: tuple(sorted(values)) for name, values in found.items()}


def _in_doubt(names: list[str]) -> Select[Any]:
    late = jobs.alias("late")
    ended = and_(
        jobs.c.state.in_(_ENDED_IN_DOUBT), or_(targets.c.name.is_(None), jobs.c.finished_at >= targets.c.known_at)
    )
    return (
        select(jobs.c.resource, jobs.c.state, jobs.c.wish, jobs.c.baseline, late.c.wish.label("late"))
        .join_from(jobs, targets, targets.c.name == jobs.c.resource, isouter=True)
        .join(late, late.c.id == jobs.c.repairs, isouter=True)
        .where(jobs.c.resource.in_(names), jobs.c.kind == JobKind.TARGET_UPDATE, jobs.c.read_first)
        .where(or_(ended, jobs.c.state == JobState.RUNNING))
    )


def _value(wish: str) -> float:
    return TargetUpdate.model_validate_json(wish).target
