"""Endpoints and their secrets: made, changed, rotated, ended; and which process sends to each."""

import json
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, literal, or_, select, update
from sqlmodel import Session, col

from schemas.webhooks import SignatureKind
from worker.core.delivery import Health
from worker.core.endpoint_filter import EndpointFilter
from worker.store.engine import database_now
from worker.store.outbox import DEAD, DELETED, DISABLED, ENABLED, PAUSED, PENDING, is_in
from worker.store.tables import deliveries, endpoint_secrets, endpoints
from worker.store.webhook_models import Endpoint, EndpointSecret


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """``sealed`` is its first secret, encrypted. ``rate_limit``: messages a second; None for no limit."""

    id: str
    url: str
    description: str | None
    filter: EndpointFilter
    ordered: bool
    rate_limit: int | None
    concurrency: int
    kind: SignatureKind
    sealed: str


def create(session: Session, new: NewEndpoint) -> Endpoint:
    now = database_now(session)
    endpoint = Endpoint(
        id=new.id,
        url=new.url,
        description=new.description,
        types=_listed(new.filter.types),
        customers=_listed(new.filter.customers),
        usecases=_listed(new.filter.usecases),
        batches=_listed(new.filter.batches),
        ordered=new.ordered,
        rate_limit=new.rate_limit,
        concurrency=new.concurrency,
        state=ENABLED,
        created_at=now,
    )
    session.add(endpoint)
    session.add(EndpointSecret(endpoint_id=new.id, kind=new.kind, sealed=new.sealed, created_at=now))
    session.flush()
    return endpoint


def find(session: Session, endpoint_id: str) -> Endpoint | None:
    query = select(Endpoint).where(col(Endpoint.id) == endpoint_id, col(Endpoint.state) != DELETED)
    return session.execute(query, execution_options={"populate_existing": True}).scalar_one_or_none()


def list_all(session: Session) -> list[Endpoint]:
    query = select(Endpoint).where(col(Endpoint.state) != DELETED)
    return list(session.execute(query.order_by(col(Endpoint.created_at), col(Endpoint.id))).scalars())


def change(session: Session, endpoint_id: str, values: Mapping[str, Any]) -> bool:
    """Columns by name, a filter as the collection that it is. False where there is no such endpoint."""
    values = {name: _listed(one) if isinstance(one, AbstractSet) else one for name, one in values.items()}
    return _update(session, values, endpoints.c.id == endpoint_id, endpoints.c.state != DELETED)


def pause(session: Session, endpoint_id: str) -> bool:
    """Its deliveries wait. False where it was not enabled."""
    return _update(session, {"state": PAUSED}, endpoints.c.id == endpoint_id, endpoints.c.state == ENABLED)


def resume(session: Session, endpoint_id: str) -> bool:
    """Paused or disabled, it is sent to again, as if it had never failed. False where it was neither."""
    fresh = {"state": ENABLED, "failures": 0, "failing_since": None, "warned": 0, "held_until": None}
    waiting = endpoints.c.state.in_((PAUSED, DISABLED))
    return _update(session, fresh | {"disabled_reason": None}, endpoints.c.id == endpoint_id, waiting)


def remove(session: Session, endpoint_id: str) -> bool:
    """Its secrets go, what was not sent is set aside, and its row stays for the story of its deliveries."""
    if not _update(session, {"state": DELETED}, endpoints.c.id == endpoint_id, endpoints.c.state != DELETED):
        return False
    session.execute(delete(endpoint_secrets).where(endpoint_secrets.c.endpoint_id == endpoint_id))
    set_aside_pending(session, endpoint_id, "the endpoint was deleted")
    return True


def set_aside_pending(session: Session, endpoint_id: str, reason: str) -> None:
    """Each says why, and what its last attempt came to."""
    columns = deliveries.c
    why = func.coalesce(literal(f"{reason}; the last attempt: ", columns.error.type).concat(columns.error), reason)
    session.execute(
        update(deliveries)
        .where(columns.endpoint_id == endpoint_id, is_in(deliveries, PENDING))
        .values(state=DEAD, error=why, finished_at=database_now(session))
    )


def secrets_of(session: Session, ids: Collection[str]) -> list[EndpointSecret]:
    """Those that sign at this moment, newest first."""
    query = select(EndpointSecret).where(
        col(EndpointSecret.endpoint_id).in_(sorted(ids)),
        or_(col(EndpointSecret.retires_at).is_(None), col(EndpointSecret.retires_at) > database_now(session)),
    )
    return list(session.execute(query.order_by(col(EndpointSecret.id).desc())).scalars())


def rotate(session: Session, endpoint_id: str, kind: SignatureKind, sealed: str, overlap: timedelta) -> datetime:
    """Returns until when the secrets before sign beside the new one. Those that sign no more are deleted."""
    now = database_now(session)
    until = now + overlap
    columns = endpoint_secrets.c
    still = or_(columns.retires_at.is_(None), columns.retires_at > until)
    session.execute(update(endpoint_secrets).where(columns.endpoint_id == endpoint_id, still).values(retires_at=until))
    _forget_retired(session, now)
    session.add(EndpointSecret(endpoint_id=endpoint_id, kind=kind, sealed=sealed, created_at=now))
    session.flush()
    return until


def all_secrets(session: Session) -> list[EndpointSecret]:
    """Those of all endpoints. One that signs no more is deleted: its key may be gone for good."""
    _forget_retired(session, database_now(session))
    return list(session.execute(select(EndpointSecret).order_by(col(EndpointSecret.id)).with_for_update()).scalars())


def _forget_retired(session: Session, now: datetime) -> None:
    session.execute(delete(endpoint_secrets).where(endpoint_secrets.c.retires_at <= now))


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits for an endpoint, since when the longest is due, and what is set aside."""

    pending: int
    oldest_due: datetime | None
    dead: int


def depth_of(session: Session, endpoint_id: str) -> Depth:
    return depths_of(session, [endpoint_id])[endpoint_id]


def depths_of(session: Session, ids: Collection[str]) -> dict[str, Depth]:
    """Of however many in two looks."""
    pending, dead = _counts(session, ids, PENDING), _counts(session, ids, DEAD)
    nothing = (0, None)
    return {one: Depth(*pending.get(one, nothing), dead.get(one, nothing)[0]) for one in ids}


def _counts(session: Session, ids: Collection[str], state: str) -> dict[str, tuple[int, datetime | None]]:
    """Each state by an index of its own, which needs it in so many words."""
    columns = deliveries.c
    query = select(columns.endpoint_id, func.count(), func.min(columns.due_at)).group_by(columns.endpoint_id)
    found = session.execute(query.where(columns.endpoint_id.in_(sorted(ids)), is_in(deliveries, state)))
    return {endpoint: (count, oldest) for endpoint, count, oldest in found}


def with_depths(session: Session) -> list[tuple[Endpoint, Depth]]:
    """All there are."""
    found = list_all(session)
    depths = depths_of(session, [one.id for one in found])
    return [(one, depths[one.id]) for one in found]


# Who sends


@dataclass(frozen=True, slots=True)
class Owned:
    """An endpoint whose deliveries this process sends, as it stands, with the wait that is left before the next."""

    endpoint: Endpoint
    secrets: tuple[EndpointSecret, ...]
    held: timedelta

    @property
    def health(self) -> Health:
        return health_of(self.endpoint)


def health_of(row: Endpoint) -> Health:
    return Health(row.failures, row.failing_since, row.warned, row.held_until, row.disabled_at)


def something_due(session: Session) -> bool:
    """Whether ``take`` would find an endpoint."""
    return session.execute(_untended(database_now(session))).first() is not None


def take(session: Session, owner: str, lasts: timedelta) -> Owned | None:
    """One endpoint that nobody sends to and that has something due; None where there is none."""
    now = database_now(session)
    columns = endpoints.c
    chosen = session.execute(_untended(now).with_for_update(skip_locked=True)).scalar_one_or_none()
    if chosen is None:
        return None
    values = {"owner": owner, "owner_until": now + lasts, "fence": columns.fence + 1}
    session.execute(update(endpoints).where(columns.id == chosen).values(values))
    return _owned(session, [chosen], now)[0]


def renew(session: Session, owner: str, fences: dict[str, int], lasts: timedelta) -> list[Owned]:
    """Those that are still ours, as they stand now, for as long again."""
    if not fences:
        return []
    now = database_now(session)
    columns = endpoints.c
    statement = (
        update(endpoints)
        .where(columns.id.in_(sorted(fences)), columns.owner == owner)
        .values(owner_until=now + lasts)
        .returning(columns.id, columns.fence)
    )
    ours = [row.id for row in session.execute(statement) if row.fence == fences[row.id]]
    return _owned(session, ours, now)


def release(session: Session, owner: str, ids: Collection[str], after: timedelta) -> None:
    """Others may send from a moment on: what was sent in the last one counts for the rate."""
    until = database_now(session) + after
    columns = endpoints.c
    session.execute(
        update(endpoints).where(columns.id.in_(sorted(ids)), columns.owner == owner).values(owner_until=until)
    )


def _untended(now: datetime) -> Select[tuple[str]]:
    columns = endpoints.c
    free = or_(columns.owner.is_(None), columns.owner_until < now)
    first_due = (  # not EXISTS: with stale statistics PostgreSQL reads all that waits, by an index without due_at
        select(func.min(deliveries.c.due_at))
        .where(deliveries.c.endpoint_id == columns.id, is_in(deliveries, PENDING))
        .scalar_subquery()
    )
    not_held = or_(columns.held_until.is_(None), columns.held_until <= now)
    return (
        select(columns.id)
        .where(columns.state == ENABLED, free, not_held, first_due <= now)
        .order_by(columns.owner_until.nulls_first())
        .limit(1)
    )


def _owned(session: Session, ids: Sequence[str], now: datetime) -> list[Owned]:
    query = select(Endpoint).where(col(Endpoint.id).in_(sorted(ids)))
    rows = session.execute(query, execution_options={"populate_existing": True}).scalars().all()
    secrets = secrets_of(session, ids)
    return [
        Owned(
            row,
            tuple(one for one in secrets if one.endpoint_id == row.id),
            max(timedelta(0), row.held_until - now) if row.held_until else timedelta(0),
        )
        for row in rows
    ]


def _listed(values: Collection[str]) -> str:
    return json.dumps(sorted(values))


def _update(session: Session, values: Mapping[str, Any], *where: ColumnElement[bool]) -> bool:
    statement = update(endpoints).where(*where).values(values).returning(endpoints.c.id)
    return session.execute(statement).first() is not None
