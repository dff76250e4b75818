"""The Coaching API's client: build the request, send it once with its permit, say what it came to.

Never raises for remote trouble: that is an ``Outcome``. ``ValueError`` is for a caller's malformed resource name.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import TypeVar

from pydantic import SecretStr

from api_adapter import requests
from api_adapter.auth.authenticator import Authenticator, TokenRefused, TokenTrouble
from api_adapter.auth.secret import masked
from api_adapter.classify import NoReply, Reply, classify
from api_adapter.compare import differences
from api_adapter.outcomes import (
    Answered,
    Exchange,
    Mismatched,
    NotSent,
    Outcome,
    Unauthorized,
    Unavailable,
)
from api_adapter.rate_limit.permits import Permit
from api_adapter.requests import ApiRequest
from api_adapter.retry_after import parse_wait
from api_adapter.transport import Transport, check_url
from schemas.coaching import (
    EvaluationPeriods,
    Quota,
    QuotaRequest,
    Target,
    TargetEnvelope,
    TargetPage,
    TargetWrite,
)

T = TypeVar("T")

USER_AGENT = f"coachsync/{version('coachsync')} (+coaching targets and quotas)"
PAGE_SIZE = 1_000  # AIP-158: a service that allows less gives less

_UNAUTHENTICATED = 401


class CoachingClient:
    """One remote, one event loop. Each call takes one permit and sends one request at most.

    The transport may be shared between remotes; whoever opened it closes it. ``more_headers``: of each request, as a
    trace has them.
    """

    def __init__(  # noqa: PLR0913 - keyword-only: what it is made of
        self,
        *,
        base_url: str,
        transport: Transport,
        authenticator: Authenticator,
        new_request_id: Callable[[], str],
        clock: Callable[[], datetime],
        more_headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._base_url = check_url(base_url, "the remote's base URL").rstrip("/")
        self._transport = transport
        self._authenticator = authenticator
        self._new_request_id = new_request_id
        self._clock = clock
        self._more_headers = more_headers

    async def update_target(self, permit: Permit, write: TargetWrite, key: str) -> Outcome[Target]:
        """``key`` is the `Idempotency-Key` header's value; so in all calls."""
        outcome = await self._call(permit, requests.update_target(write), _read_target, key)
        return _compared(outcome, write)

    async def get_target(self, permit: Permit, name: str) -> Outcome[Target]:
        def read(body: bytes) -> Target:
            target = _read_target(body)
            if target.name != name:
                raise ValueError("it is another target")
            return target

        return await self._call(permit, requests.get_target(name), read)

    async def list_targets(
        self, permit: Permit, profile: str, page_token: str = "", page_size: int = PAGE_SIZE
    ) -> Outcome[TargetPage]:
        """One page; an empty page that names a next one is not the end."""
        request = requests.list_targets(profile, page_token, page_size)
        return await self._call(permit, request, TargetPage.model_validate_json)

    async def create_target(self, permit: Permit, profile: str, write: TargetWrite, key: str) -> Outcome[Target]:
        """The remote may give the target another name than the wish has: that alone is no mismatch."""
        outcome = await self._call(permit, requests.create_target(profile, write), _read_target, key)
        if isinstance(outcome, Answered):
            write = write.model_copy(update={"name": outcome.value.name})
        return _compared(outcome, write)

    async def delete_target(self, permit: Permit, name: str) -> Outcome[None]:
        """``Missing`` after a retry is done: the caller knows whether it was one."""
        return await self._call(permit, requests.delete_target(name), _read_nothing)

    async def retrieve_quota(self, permit: Permit, request: QuotaRequest, key: str) -> Outcome[Quota]:
        return await self._call(permit, requests.retrieve_quota(request), Quota.model_validate_json, key)

    async def retrieve_evaluation_periods(
        self, permit: Permit, template: str, usecase: str
    ) -> Outcome[EvaluationPeriods]:
        """``template`` is named without its revision."""
        request = requests.retrieve_evaluation_periods(template, usecase)
        return await self._call(permit, request, EvaluationPeriods.model_validate_json)

    async def _call(self, permit: Permit, request: ApiRequest, read: Callable[[bytes], T], key: str = "") -> Outcome[T]:
        exchange = Exchange(request.operation, self._new_request_id(), None, timedelta(0))
        try:
            authorization = await self._authenticator.header()
        except TokenRefused as refused:
            return Unauthorized(exchange, str(refused))
        except TokenTrouble as trouble:
            return Unavailable(exchange, None, str(trouble))
        headers = {**_headers(request, exchange.request_id, authorization, key), **self._more_headers()}
        started = time.monotonic()
        if started >= permit.use_before:
            return NotSent(exchange)
        reply = await self._transport.send(request.method, self._base_url + request.path, headers, request.body)
        exchange = self._measured(exchange, reply, timedelta(seconds=time.monotonic() - started))
        outcome = _judged(exchange, reply, read, authorization)
        if isinstance(outcome, Unauthorized) and exchange.status == _UNAUTHENTICATED:
            return replace(outcome, renewed=await self._authenticator.renew(authorization))
        return outcome

    def _measured(self, exchange: Exchange, reply: Reply | NoReply, latency: timedelta) -> Exchange:
        if isinstance(reply, NoReply):
            return replace(exchange, latency=latency)
        wait = parse_wait(reply.headers, self._clock())
        return replace(exchange, status=reply.status, latency=latency, retry_after=wait)


def _headers(request: ApiRequest, request_id: str, authorization: str, key: str) -> dict[str, str]:
    headers = {
        "User-Agent": USER_AGENT,
        "Accept": "application/json",
        "Accept-Encoding": "identity",  # answers are small; what is never unpacked cannot be a bomb
        "X-Request-Id": request_id,
    }
    if authorization:
        headers["Authorization"] = authorization
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    if key:
        headers["Idempotency-Key"] = key
    return headers


def _judged(exchange: Exchange, reply: Reply | NoReply, read: Callable[[bytes], T], authorization: str) -> Outcome[T]:
    """What is not understood is judged again without the secret it may echo: its words go to people."""
    outcome = classify(exchange, reply, read)
    if isinstance(outcome, Answered):
        return outcome
    secret = SecretStr(authorization.rpartition(" ")[2])
    match reply:
        case Reply(body=body):
            outcome = classify(exchange, replace(reply, body=masked(body, secret)), read)
        case NoReply():
            outcome = classify(exchange, reply, read)
    return _without(outcome, secret)


def _without(outcome: Outcome[T], secret: SecretStr) -> Outcome[T]:
    """JSON may have spelt the secret with escapes: the decoded words are masked too."""
    if isinstance(outcome, Answered | Mismatched | NotSent):
        return outcome
    return replace(outcome, message=masked(outcome.message.encode(), secret).decode())


def _compared(outcome: Outcome[Target], write: TargetWrite) -> Outcome[Target]:
    if isinstance(outcome, Answered) and (found := differences(write, outcome.value)):
        return Mismatched(outcome.exchange, outcome.value, found)
    return outcome


def _read_target(body: bytes) -> Target:
    return TargetEnvelope.model_validate_json(body).target


def _read_nothing(body: bytes) -> None:
    """A deletion is answered with an empty object; a proxy's page is no answer of the remote."""
    if body.strip() and not body.lstrip().startswith(b"{"):
        raise ValueError("it is no JSON object")
