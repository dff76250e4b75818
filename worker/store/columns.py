"""The columns that tables are made of: instants, ids, words, partial indexes, the same on both databases."""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, String, text
from sqlmodel import Field

from worker.store.engine import PlainText, UtcDateTime

ORDERED = String().with_variant(String(collation="C"), "postgresql")  # as Python sorts: names are locked in order
_ROWID = BigInteger().with_variant(Integer, "sqlite")  # SQLite keeps a row under its INTEGER key, and counts that up


def instant(*, nullable: bool = True) -> Any:
    return Field(sa_column=Column(UtcDateTime, nullable=nullable), default=None)


def big(*, primary_key: bool = False, nullable: bool = False) -> Any:
    kind = _ROWID if primary_key else BigInteger
    column: Column[int] = Column(kind, primary_key=primary_key, nullable=nullable, autoincrement=False)
    return Field(sa_column=column, default=None)


def serial() -> Any:
    return Field(sa_column=Column(_ROWID, primary_key=True), default=None)


def words(*, nullable: bool = False) -> Any:
    return Field(sa_column=Column(PlainText, nullable=nullable), default=None)


def ordered_key() -> Any:
    return Field(sa_column=Column(ORDERED, primary_key=True), default=None)


def index_where(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))
