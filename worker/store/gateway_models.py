"""The tables of the gateway: who may come in."""

from datetime import datetime

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
