"""What was answered to requests with a key, so that the same request again gets the same answer.

A request that takes long holds its key meanwhile, for all gateways: the answer is 409 for as long as it is heard of.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
from sqlmodel import Session, col

from worker.store.bulk import insert_if_missing, insert_missing
from worker.store.engine import database_now
from worker.store.gateway_models import KeptAnswer
from worker.store.tables import kept_answers

AT_ONCE = 5_000
KEPT_FOR = timedelta(hours=24)
HEARD_WITHIN = timedelta(seconds=10)  # a gateway that dies leaves its keys held for as long
AT_WORK = 409


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A key belongs to the token that it came with: another holder's is another key."""

    token_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Answered:
    fingerprint: str
    status: int
    body: str
    location: str | None = None


def find(session: Session, asked: Collection[RequestKey]) -> dict[RequestKey, Answered]:
    """Those of them that were answered."""
    if not asked:
        return {}
    query = select(KeptAnswer).where(
        col(KeptAnswer.token_id).in_({one.token_id for one in asked}),
        col(KeptAnswer.key).in_({one.key for one in asked}),
    )
    found = session.execute(query).scalars()
    kept = {
        RequestKey(row.token_id, row.key): Answered(row.fingerprint, row.status, row.body, row.location)
        for row in found
    }
    return {one: kept[one] for one in asked if one in kept}


def begin(session: Session, asked: RequestKey, meanwhile: Answered) -> Answered | None:
    """Hold the key, and answer others ``meanwhile``; else what there is to answer: another was first."""
    now = database_now(session)
    session.execute(delete(kept_answers).where(*_held(asked), kept_answers.c.at < now - HEARD_WITHIN))
    if insert_if_missing(session, kept_answers, _row(asked, meanwhile, now)):
        return None
    return find(session, [asked]).get(asked, meanwhile)


def go_on(session: Session, asked: RequestKey) -> None:
    """Say that the key is still held."""
    session.execute(update(kept_answers).where(*_held(asked)).values(at=database_now(session)))


def end(session: Session, asked: RequestKey, answer: Answered | None) -> None:
    """Hold the key no more; without an answer it is free again."""
    session.execute(delete(kept_answers).where(*_held(asked)))
    if answer:
        keep(session, [(asked, answer)])


def keep(session: Session, answers: Sequence[tuple[RequestKey, Answered]]) -> None:
    """One that is there already stays: it was given first."""
    now = database_now(session)
    insert_missing(session, kept_answers, [_row(asked, answer, now) for asked, answer in answers])


def prune(session: Session) -> int:
    """A portion of those that are older; returns their number."""
    columns = kept_answers.c
    old = select(columns.at).where(columns.at < database_now(session) - KEPT_FOR).order_by(columns.at).limit(AT_ONCE)
    times = session.execute(old).scalars().all()
    if not times:
        return 0
    statement = delete(kept_answers).where(columns.at <= times[-1]).returning(columns.key)
    return len(session.execute(statement).all())


def _held(asked: RequestKey) -> tuple[ColumnElement[bool], ...]:
    columns = kept_answers.c
    return columns.token_id == asked.token_id, columns.key == asked.key, columns.status == AT_WORK


def _row(asked: RequestKey, answer: Answered, now: datetime) -> dict[str, Any]:
    return {
        "token_id": asked.token_id,
        "key": asked.key,
        "fingerprint": answer.fingerprint,
        "status": answer.status,
        "location": answer.location,
        "body": answer.body,
        "at": now,
    }
