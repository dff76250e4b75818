"""What one call of the Coaching API came to. Remote trouble is a value, never an exception.

Outcome
├── Answered      the remote did it; ``value`` is its answer
├── Mismatched    the remote did something else: the answer's identity or value differs from what was asked
├── Refused       final for this request, with the remote's words (4xx)
├── Missing       404: the resource is not there (or, for an inferred operation, the operation)
├── Unsupported   405, 501: this remote does not have the operation
├── Unauthorized  401, 403, 407: the remote does not let us in; ``renewed`` says that the next call has a new token
├── Throttled     429: certainly not done; wait
├── Unavailable   certainly not done, or safe to send again (a read, a delete): 503, connect, DNS, TLS, pool
├── Ambiguous     a write left and nothing certain came back: read before sending again
└── NotSent       the permit was void before the request could leave
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Operation(StrEnum):
    UPDATE_TARGET = "update_target"
    GET_TARGET = "get_target"
    LIST_TARGETS = "list_targets"
    CREATE_TARGET = "create_target"
    DELETE_TARGET = "delete_target"
    RETRIEVE_QUOTA = "retrieve_quota"
    RETRIEVE_EVALUATION_PERIODS = "retrieve_evaluation_periods"


@dataclass(frozen=True, slots=True)
class Exchange:
    """The facts of one request, for attempts, logs and metrics. ``status`` is None where no answer came.

    ``retry_after`` is the wait the answer asked for, whatever its status: the fleet's cooldown hangs on it.
    """

    operation: Operation
    request_id: str
    status: int | None
    latency: timedelta
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    exchange: Exchange
    value: T


@dataclass(frozen=True, slots=True)
class Mismatched(Generic[T]):
    """``differences`` names each field: what was asked, what the remote says it is now."""

    exchange: Exchange
    value: T
    differences: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Refused:
    exchange: Exchange
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Missing:
    exchange: Exchange
    message: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    exchange: Exchange
    message: str


@dataclass(frozen=True, slots=True)
class Unauthorized:
    exchange: Exchange
    message: str
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class Throttled:
    exchange: Exchange
    retry_after: timedelta | None
    message: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    exchange: Exchange
    retry_after: timedelta | None
    message: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    exchange: Exchange
    message: str


@dataclass(frozen=True, slots=True)
class NotSent:
    exchange: Exchange


Trouble = Refused | Missing | Unsupported | Unauthorized | Throttled | Unavailable | Ambiguous | NotSent
Outcome = Answered[T] | Mismatched[T] | Trouble
