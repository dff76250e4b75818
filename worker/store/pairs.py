"""Rows by two columns at once, through the index that has both."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, and_, tuple_


def pair_in(first: Any, second: Any, pairs: Collection[tuple[str, str]]) -> ColumnElement[bool]:
    """Each column is named alone too: for pairs in a list SQLite uses no index, and reads the table from end to end."""
    ordered = sorted(pairs)
    alone = first.in_(sorted({one for one, _ in ordered})), second.in_(sorted({other for _, other in ordered}))
    return and_(*alone, tuple_(first, second).in_(ordered))
