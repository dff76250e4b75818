"""What is refused at acceptance and can be known of a row without the database."""

from collections.abc import Callable
from datetime import datetime

from schemas.names import customer_of
from worker.configuration.remotes import NoRemote, Remote
from worker.core.acceptance import LATEST_AS_OF
from worker.intake.accept import canonical
from worker.intake.readers import BadRow, GoodRow, Row, raw_of
from worker.intake.row_errors import FieldError


def at_the_door(remote_for: Callable[[str], Remote | NoRemote], now: datetime) -> Callable[[Row], Row]:
    latest = now + LATEST_AS_OF

    def check(row: Row) -> Row:
        if isinstance(row, BadRow):
            return row
        wish, remote = row.wish, remote_for(customer_of(row.wish.resource))
        if isinstance(remote, NoRemote):
            return refused(row, FieldError("name", remote.message, wish.resource))
        if wish.as_of and wish.as_of > latest:
            return refused(row, FieldError("asOf", "lies in the future", str(wish.as_of)))
        return row

    return check


def refused(row: GoodRow, error: FieldError) -> BadRow:
    return BadRow(row.row, row.line, (error,), raw_of(row.text or canonical(row.wish)))
