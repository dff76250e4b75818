"""What was answered to requests with a key, so that the same request again gets the same answer."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select
from sqlmodel import Session, col

from worker.store.bulk import insert_missing
from worker.store.engine import database_now
from worker.store.gateway_models import KeptAnswer
from worker.store.tables import kept_answers

AT_ONCE = 5_000
KEPT_FOR = timedelta(hours=24)


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


def keep(session: Session, answers: Sequence[tuple[RequestKey, Answered]]) -> None:
    """One that is there already stays: it was given first."""
    now = database_now(session)
    insert_missing(
        session,
        kept_answers,
        [
            {
                "token_id": asked.token_id,
                "key": asked.key,
                "fingerprint": answer.fingerprint,
                "status": answer.status,
                "location": answer.location,
                "body": answer.body,
                "at": now,
            }
            for asked, answer in answers
        ],
    )


def prune(session: Session) -> int:
    """A portion of those that are older; returns their number."""
    columns = kept_answers.c
    old = select(columns.at).where(columns.at < database_now(session) - KEPT_FOR).order_by(columns.at).limit(AT_ONCE)
    times = session.execute(old).scalars().all()
    if not times:
        return 0
    statement = delete(kept_answers).where(columns.at <= times[-1]).returning(columns.key)
    return len(session.execute(statement).all())
