"""API tokens: made, looked up by what they hash to, revoked. The token itself is never here."""

import hmac
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlmodel import Session, col

from worker.core.access import Holder, Scope
from worker.store.engine import database_now
from worker.store.gateway_models import ApiToken
from worker.store.tables import api_tokens

USE_IS_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class NewToken:
    """``lasts`` None: until it is revoked."""

    id: str
    name: str
    digest: str
    scopes: Collection[Scope]
    customers: Collection[str] = ()
    lasts: timedelta | None = None


def create(session: Session, new: NewToken) -> ApiToken:
    now = database_now(session)
    token = ApiToken(
        id=new.id,
        name=new.name,
        digest=new.digest,
        scopes=json.dumps(sorted(new.scopes)),
        customers=json.dumps(sorted(new.customers)),
        created_at=now,
        expires_at=None if new.lasts is None else now + new.lasts,
    )
    session.add(token)
    session.flush()
    return token


def find(session: Session, token_id: str) -> ApiToken | None:
    return session.get(ApiToken, token_id)


def list_all(session: Session) -> list[ApiToken]:
    """Newest first."""
    return list(session.execute(select(ApiToken).order_by(col(ApiToken.created_at).desc(), col(ApiToken.id))).scalars())


def holder_of(session: Session, digest: str) -> Holder | None:
    """Who a token that hashes to this stands for; None where it is none, is revoked or has expired."""
    found = session.execute(select(ApiToken).where(col(ApiToken.digest) == digest)).scalar_one_or_none()
    if found is None or not hmac.compare_digest(found.digest, digest) or not is_live(found, database_now(session)):
        return None
    return Holder(found.id, found.name, *_granted(found))


def holder_by_id(session: Session, token_id: str) -> Holder | None:
    """Who it stands for now, for whoever has shown the token itself before."""
    found = find(session, token_id)
    if found is None or not is_live(found, database_now(session)):
        return None
    return Holder(found.id, found.name, *_granted(found))


def is_live(token: ApiToken, now: datetime) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


def is_use_news(session: Session, token_id: str) -> bool:
    """To the minute: a token that is used a thousand times a second is no thousand writes."""
    noted = session.execute(select(api_tokens.c.last_used_at).where(api_tokens.c.id == token_id)).scalar_one()
    return noted is None or noted < database_now(session) - USE_IS_NOTED_EVERY


def note_use(session: Session, token_id: str) -> None:
    session.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(last_used_at=database_now(session)))


def revoke(session: Session, token_id: str) -> ApiToken | None:
    """None where there is no such token. One that was revoked before stays as it is."""
    found = find(session, token_id)
    if found and found.revoked_at is None:
        found.revoked_at = database_now(session)
        session.add(found)
        session.flush()
    return found


def _granted(token: ApiToken) -> tuple[frozenset[Scope], frozenset[str]]:
    known = set(Scope)
    return frozenset(Scope(one) for one in json.loads(token.scopes) if one in known), frozenset(
        json.loads(token.customers)
    )
