"""The tables of the operators: who is signed in, what they have done, and what they have halted."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from worker.store.columns import instant, serial, words


class ConsoleSession(SQLModel, table=True):
    """A browser that is signed in. ``digest`` is of the cookie's value, which nobody but the browser has.

    Who it is and what they may is the token's, and ends with it.
    """

    __tablename__ = "console_sessions"
    __table_args__ = (Index("console_sessions_ends", "ends_at"),)

    digest: str = Field(primary_key=True)
    token_id: str
    opened_at: datetime = instant(nullable=False)
    seen_at: datetime = instant(nullable=False)
    ends_at: datetime = instant(nullable=False)


class AuditRow(SQLModel, table=True):
    """What a person has done: ``who`` did ``action`` on ``subject``; ``result`` is in words.

    ``outcome``: begun while it is under way, and for good where it died then; done, refused, failed.
    """

    __tablename__ = "audit"

    id: int = serial()
    at: datetime = instant(nullable=False)
    who: str = words()
    door: str
    action: str
    subject: str = words()
    outcome: str
    result: str = words()


class Halt(SQLModel, table=True):
    """A remote, or one ``lane`` of it, that a person has paused: nothing is sent until a person resumes it."""

    __tablename__ = "halts"

    remote: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    since: datetime = instant(nullable=False)
    who: str = words()
    why: str | None = words(nullable=True)
