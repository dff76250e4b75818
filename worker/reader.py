"""One read of a remote outside of any chunk, under the fleet's limit."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

from api_adapter.client import CoachingClient
from api_adapter.outcomes import NotSent, Outcome
from api_adapter.rate_limit.permits import Permit, Settled
from schemas.lanes import Lane
from worker.exchanges import NoPermit, Read, settled, tried_of
from worker.executor import RemoteAccess
from worker.telemetry import instruments
from worker.tracing.spans import Kind, span

T = TypeVar("T")


async def read(
    access: RemoteAccess,
    call: Callable[[CoachingClient, Permit], Awaitable[Outcome[T]]],
    now: Callable[[], datetime],
) -> Read[T] | NoPermit:
    """Send one request, if there is leave for it now."""
    grant = await access.limiter.exchange(Lane.BULK, 1)
    if not grant.permits:
        return NoPermit(grant.retry_in)
    permit, started_at = grant.permits[0], now()
    try:
        with span("request", kind=Kind.CLIENT) as request:
            outcome = await call(access.client, permit)
            request.tell(operation=outcome.exchange.operation, status=outcome.exchange.status)
    except BaseException:
        await access.limiter.exchange(Lane.BULK, 0, [Settled(permit)])  # it may have left
        raise
    await access.limiter.exchange(Lane.BULK, 0, [settled(permit, outcome)])
    if isinstance(outcome, NotSent):
        return NoPermit(timedelta(0))
    tried = tried_of(outcome, started_at)
    instruments.requests_sent(access.name, [tried])
    return Read(outcome, tried)
