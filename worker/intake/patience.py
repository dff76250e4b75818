"""A transaction of the door that is tried again where that may help."""

from collections.abc import Callable
from threading import Event
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError

from worker.store.engine import is_passing

PAUSES = (0.0, 0.1, 0.4, 1.6, 3.2)  # seconds before the next try: a server that starts again answers within these
T = TypeVar("T")


def patiently(transaction: Callable[[], T]) -> T:
    """Try again after a passing error, or after a row that is there.

    Then another process offers the same key, or our commit arrived and its answer did not: the next try finds it.
    """
    for pause in PAUSES:
        try:
            return transaction()
        except DBAPIError as error:
            if not isinstance(error, IntegrityError) and not is_passing(error):
                raise
        Event().wait(pause)
    return transaction()
