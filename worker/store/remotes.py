"""How remotes are doing, what keeps one from being sent to, and how a person ends that all at once."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select
from sqlmodel import Session

from schemas.jobs import JobState
from worker.core.backoff import MOST
from worker.core.decisions import AMBIGUOUS_PAUSE
from worker.store import dispatching, halts, pauses, quarantine
from worker.store.console_models import Halt
from worker.store.depths import lane_depths
from worker.store.engine import database_now
from worker.store.models import Pause, Quarantine
from worker.store.remote_urls import urls_known
from worker.store.selection import in_state
from worker.store.tables import attempts, jobs


@dataclass(frozen=True, slots=True)
class Standing:
    """One remote at ``now``. ``waiting`` jobs are pending for it; ``halts`` are what persons have paused."""

    name: str
    now: datetime
    quarantine: Quarantine | None
    pauses: list[Pause]
    halts: list[Halt]
    waiting: int


@dataclass(frozen=True, slots=True)
class Held:
    """What keeps a remote from being sent to; ``jobs`` wait for a time that it has named, and for nothing else."""

    now: datetime
    quarantine: Quarantine | None
    pauses: list[Pause]
    jobs: int


def standings(session: Session, named: Iterable[str]) -> list[Standing]:
    """Of those that are named, and then of every other that has left something here."""
    now = database_now(session)
    aside = {one.remote: one for one in quarantine.list_all(session)}
    paused, halted = pauses.standing(session), halts.list_all(session)
    waiting = Counter[str]()
    for depth in lane_depths(session, now):
        waiting[depth.remote] += depth.due + depth.later
    held_back = {one.remote for one in paused} | {one.remote for one in halted}
    names = dict.fromkeys([*named, *sorted({*aside, *held_back, *waiting, *urls_known(session)})])
    return [
        Standing(
            name,
            now,
            aside.get(name),
            [one for one in paused if one.remote == name],
            [one for one in halted if one.remote == name],
            waiting[name],
        )
        for name in names
    ]


def held(session: Session, remote: str) -> Held:
    waiting = select(func.count()).select_from(jobs).where(in_state(JobState.PENDING), _told_to_wait(session, remote))
    return Held(
        now=database_now(session),
        quarantine=quarantine.find(session, remote),
        pauses=[pause for pause in pauses.standing(session) if pause.remote == remote],
        jobs=session.execute(waiting).scalar_one(),
    )


def release(session: Session, remote: str) -> Held:
    """End the quarantine and every pause, and make due what waits only for them; returns what that was."""
    found = held(session, remote)
    quarantine.release(session, remote)
    pauses.end_all(session, remote)
    return replace(found, jobs=dispatching.make_due(session, _told_to_wait(session, remote)))


def _told_to_wait(session: Session, remote: str) -> ColumnElement[bool]:
    """Throttled last, or unavailable and due later than any backoff of ours would have it."""
    now = database_now(session)
    last: Any = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempts)
    named = or_(
        attempts.c.outcome == "throttled", and_(attempts.c.outcome == "unavailable", jobs.c.due_at > now + MOST)
    )
    later = case((jobs.c.read_first, jobs.c.due_at > now + AMBIGUOUS_PAUSE), else_=jobs.c.due_at > now)
    return and_(jobs.c.remote == remote, later, exists().where(last, named))
