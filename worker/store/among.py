"""``IN`` for many values. On PostgreSQL they are one parameter, whose text is made and read once.

SQLite looks through its indexes for a plain list only.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, any_, bindparam
from sqlmodel import Session


def among(session: Session, column: Column[Any], values: Sequence[Any] | str) -> ColumnElement[bool]:
    """``values``, or the name of the parameter that will bring them."""
    name, given = (values, None) if isinstance(values, str) else (None, list(values))
    if session.get_bind().dialect.name == "postgresql":
        return column == any_(bindparam(name, given, type_=ARRAY(column.type)))
    return column.in_(bindparam(name, given, expanding=True))
