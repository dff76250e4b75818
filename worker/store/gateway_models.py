"""The tables of the gateway: who may come in, and what was answered to a request that has a key."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from worker.store.columns import instant, words


class ApiToken(SQLModel, table=True):
    """Who a token stands for; of the token itself only its SHA-256 is kept. Scopes and customers are JSON arrays."""

    __tablename__ = "api_tokens"

    id: str = Field(primary_key=True)
    name: str
    digest: str = Field(unique=True)
    scopes: str = words()
    customers: str = words()
    created_at: datetime = instant(nullable=False)
    expires_at: datetime | None = instant()
    last_used_at: datetime | None = instant()
    revoked_at: datetime | None = instant()


class KeptAnswer(SQLModel, table=True):
    """What a holder's request with an ``Idempotency-Key`` was answered. ``fingerprint`` is of all that it asked.

    409 while one is at work on it, who says so now and then by ``at``.
    """

    __tablename__ = "kept_answers"
    __table_args__ = (Index("kept_answers_at", "at"),)

    token_id: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: str
    status: int
    location: str | None = None
    body: str = words()
    at: datetime = instant(nullable=False)
