"""What is wanted of targets: kept by what each target is for, asked once, hindered with the reason."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, select, text, update
from sqlmodel import Session, col

from schemas.jobs import JobState
from worker.core.policy import WantedTarget
from worker.store.bulk import insert_or_replace
from worker.store.engine import database_now
from worker.store.pairs import pair_in
from worker.store.roster import AgentKey
from worker.store.roster_models import Want
from worker.store.tables import jobs, wants

PAGE = 500
_OPEN = (JobState.PENDING, JobState.RUNNING)
_NOT_ASKED = text("NOT wants.asked")  # as its indexes say it: only so SQLite knows them
_FIELDS = [field.name for field in fields(WantedTarget)]


@dataclass(frozen=True, slots=True)
class Unasked:
    """``wanted_at``: since when we know of it."""

    want: WantedTarget
    wanted_at: datetime


def of_agents(session: Session, keys: Collection[AgentKey]) -> dict[str, WantedTarget]:
    return _found(session, pair_in(col(Want.profile), col(Want.agent), keys))


def of_plans(session: Session, plans: Collection[str]) -> dict[str, WantedTarget]:
    return _found(session, col(Want.coaching_plan_name).in_(sorted(plans)))


def page_after(session: Session, identity: str) -> dict[str, WantedTarget]:
    """All wants, page by page."""
    query = select(Want).where(col(Want.identity) > identity).order_by(col(Want.identity)).limit(PAGE)
    return {want.identity: _wanted(want) for want in session.execute(query).scalars()}


def keep(session: Session, wanted: Mapping[WantedTarget, int | None]) -> None:
    """New or changed wants, each with the event behind it: they are to become wishes."""
    now = database_now(session)
    rows = [
        asdict(want) | {"event_seq": event, "wanted_at": now, "asked": False, "job_id": None, "obstacle": None}
        for want, event in sorted(wanted.items(), key=lambda item: item[0].identity)
    ]
    insert_or_replace(session, wants, rows)


def explain(session: Session, wanted: Iterable[WantedTarget]) -> None:
    """The same value by another rule: what stood in the way of the old one may not stand in the way of the new."""
    _update_each(
        session,
        {"rule": "by", "creates": "may", "drift": "mode"},
        [{"what": one.identity, "by": one.rule, "may": one.creates, "mode": one.drift} for one in wanted],
        obstacle=None,
    )


def drop(session: Session, identities: Sequence[str]) -> None:
    for start in range(0, len(identities), PAGE):
        some = identities[start : start + PAGE]
        session.execute(delete(wants).where(wants.c.identity.in_(some)))


def are_unasked() -> ColumnElement[bool]:
    return exists(select(wants.c.identity).where(_to_be_asked()))


def unasked(session: Session) -> list[Unasked]:
    """A page of those that can become wishes now."""
    query = select(Want).where(_to_be_asked()).order_by(col(Want.identity)).limit(PAGE)
    return [Unasked(_wanted(want), want.wanted_at) for want in session.execute(query).scalars()]


def mark_asked(session: Session, job_ids: Mapping[str, int]) -> None:
    """These wants have become wishes."""
    rows = [{"what": identity, "job": job} for identity, job in sorted(job_ids.items())]
    _update_each(session, {"job_id": "job"}, rows, asked=True)


def mark_hindered(session: Session, obstacles: Mapping[str, str]) -> None:
    rows = [{"what": identity, "why": why} for identity, why in sorted(obstacles.items())]
    _update_each(session, {"obstacle": "why"}, rows)


def clear_obstacles(session: Session, profile: str) -> None:
    """Something is known now that was not: wants that were hindered are weighed again."""
    hindered = (wants.c.profile == profile, _NOT_ASKED, wants.c.obstacle.is_not(None))
    _update_found(session, and_(*hindered), obstacle=None)


def ask_again(session: Session, job_ids: Collection[int]) -> None:
    """What these jobs were to create is there, with another value: the want is to become an update."""
    if job_ids:
        _update_found(session, wants.c.job_id.in_(sorted(job_ids)), asked=False, job_id=None)


def ask_anew(session: Session, identities: Collection[str]) -> None:
    """The remote does not have what these had become any more."""
    if identities:
        _update_found(session, wants.c.identity.in_(sorted(identities)), asked=False, job_id=None, obstacle=None)


def _found(session: Session, condition: ColumnElement[bool]) -> dict[str, WantedTarget]:
    return {want.identity: _wanted(want) for want in session.execute(select(Want).where(condition)).scalars()}


def _wanted(want: Want) -> WantedTarget:
    return WantedTarget(**{name: getattr(want, name) for name in _FIELDS})


def _to_be_asked() -> ColumnElement[bool]:
    """What is about to be created is waited for: its name is known then, and the next wish is an update."""
    creating = exists().where(jobs.c.resource == wants.c.identity, jobs.c.state.in_(_OPEN))
    return and_(_NOT_ASKED, wants.c.obstacle.is_(None), ~creating)


def _update_each(session: Session, named: Mapping[str, str], rows: Sequence[Mapping[str, Any]], **same: Any) -> None:
    """Each row's columns have the values that it names; in the order of the rows, which is that of the identities."""
    if rows:
        values = same | {column: bindparam(name) for column, name in named.items()}
        statement = update(wants).where(wants.c.identity == bindparam("what")).values(values)
        session.connection().execute(statement, list(rows))


def _update_found(session: Session, condition: ColumnElement[bool], **values: Any) -> None:
    """Locked in the order of their identities, as everywhere: two that meet do not wait for each other."""
    found = select(wants.c.identity).where(condition).order_by(wants.c.identity).with_for_update()
    rows = [{"what": identity} for identity in session.execute(found).scalars()]
    _update_each(session, {}, rows, **values)
