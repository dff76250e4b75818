"""What one request leaves behind: for the limiter a settlement, for the store an attempt."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from api_adapter.outcomes import Answered, Mismatched, NotSent, Outcome, Throttled
from api_adapter.rate_limit.permits import Permit, Settled
from worker.store.records import Tried

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NoPermit:
    """Nothing was sent; asking again makes sense no sooner than ``retry_in``."""

    retry_in: timedelta


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """One request outside of any job: what came of it, and the attempt to record."""

    outcome: Outcome[T]
    tried: Tried


def settled(permit: Permit, outcome: Outcome[Any]) -> Settled:
    match outcome:
        case NotSent():
            return Settled(permit, sent=False)
        case Throttled():
            return Settled(permit, throttled=True, retry_after=outcome.exchange.retry_after, ended=time.monotonic())
        case _:
            wait = outcome.exchange.retry_after
            return Settled(permit, throttled=wait is not None, retry_after=wait, ended=time.monotonic())


def tried_of(outcome: Outcome[Any], started_at: datetime) -> Tried:
    exchange = outcome.exchange
    return Tried(
        operation=exchange.operation,
        started_at=started_at,
        latency_ms=exchange.latency / timedelta(milliseconds=1),
        status=exchange.status,
        outcome=type(outcome).__name__.lower(),
        message=_message(outcome),
        request_id=exchange.request_id,
        retry_after=exchange.retry_after,
    )


def _message(outcome: Outcome[Any]) -> str | None:
    match outcome:
        case Answered() | NotSent():
            return None
        case Mismatched(differences=differences):
            return "; ".join(f"{field}: asked {asked}, is {found}" for field, asked, found in differences)
        case _:
            return outcome.message
