"""The Coaching API itself, from a call to its answer: arrive, fault, admit, once, perform, disguise."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from math import ceil
from typing import Any

from api_adapter.sandbox.answers import Answer, Cut, json_answer, refusal_answer, wrong_method_answer
from api_adapter.sandbox.authentication import TOKEN_PATH, IssuedTokens, check_authorization, check_client
from api_adapter.sandbox.cooldown import Cooldown, announced_wait
from api_adapter.sandbox.disguises import disguise, omit_defaults
from api_adapter.sandbox.errors import Refusal
from api_adapter.sandbox.faults import Fault, Faults, Kind, parse_faults
from api_adapter.sandbox.idempotency import REPLAYED, IdempotencyMode, Records, parse_key
from api_adapter.sandbox.ledger import Arrival, Effect, Ledger
from api_adapter.sandbox.limit import Limit, parse_windows
from api_adapter.sandbox.operations import Change, Request, perform
from api_adapter.sandbox.options import SandboxOptions
from api_adapter.sandbox.routes import WRITES, Route, WrongMethod, find_route
from api_adapter.sandbox.seed import sample_world
from api_adapter.sandbox.state import State

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, as far as the API looks at it. ``path`` is percent-decoded."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    authorization: str = ""
    idempotency_key: str | None = None
    request_id: str = ""


class CoachingApi:
    """One world with its faults, limit, records of keys and ledger. Everything runs in one event loop."""

    def __init__(
        self,
        options: SandboxOptions,
        *,
        clock: Clock,
        draw_token: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._started_with = options
        self._clock = clock
        self._draw_token = draw_token
        self._monotonic = monotonic
        self.reset()

    def reset(self) -> None:
        """Back to what the sandbox was started with; everything seen and written since is forgotten."""
        options = self._started_with
        self.options = options
        self.state: State = sample_world(options.targets)
        self.ledger = Ledger(Cooldown(options.cooldown_grace))
        self.records = Records()
        self.tokens = IssuedTokens(self._draw_token, options.token_lifetime.total_seconds())
        self.script_faults(options.faults)
        self.limit_rate(options.rate_limit)

    def script_faults(self, script: str | bytes | Sequence[Any]) -> None:
        """Replace the script, counts and all. Raises ``FaultScriptError`` and leaves the old one where it is wrong."""
        self.faults = Faults(parse_faults(script), self.options.seed)

    def limit_rate(self, rate_limit: str) -> None:
        self.limit = Limit(parse_windows(rate_limit))

    async def answer(self, call: Call) -> Answer | Cut:
        fault = self.faults.next(call.method, call.path)
        if call.path == TOKEN_PATH:
            return await _faulted(fault, None, lambda delay: self._issue_token(call, delay))
        addressed = _addressed(call)
        request = addressed if isinstance(addressed, Request) else None
        arrival = self._arrive(call, request, fault)
        answer = await _faulted(fault, request, lambda delay: self._work(call, addressed, arrival.at, delay))
        if isinstance(answer, Answer):
            arrival.status = answer.status
            self._note_cooldown(answer)
        return answer

    def _arrive(self, call: Call, request: Request | None, fault: Fault | None) -> Arrival:
        now = self._monotonic()
        arrival = Arrival(
            at=now,
            time=self._clock(),
            operation=request.operation if request else None,
            name=request.name if request else call.path,
            key=call.idempotency_key or "",
            request_id=call.request_id,
            in_cooldown=self.ledger.cooldown.forbids(now),
            fault=fault.kind if fault else "",
        )
        self.ledger.arrivals.append(arrival)
        return arrival

    def _note_cooldown(self, answer: Answer) -> None:
        wait = announced_wait(answer.headers, self._clock()) if answer.headers else None
        if wait is not None:
            self.ledger.cooldown.announce(self._monotonic(), wait)

    async def _work(self, call: Call, addressed: Request | Answer, arrived: float, delay: float) -> Answer:
        if isinstance(addressed, Answer):
            return addressed
        try:
            self._admit(call, arrived)
            answer = await self._once(call, addressed, delay)
        except Refusal as refusal:
            return refusal_answer(refusal)
        return omit_defaults(answer) if self.options.omit_defaults else answer

    def _admit(self, call: Call, now: float) -> None:
        if self.options.token or self.options.client_id:
            check_authorization(call.authorization, self.options.token, self.tokens, now)
        wait = self.limit.admit(now)
        if wait is not None:
            seconds = str(max(1, ceil(wait.total_seconds())))
            raise Refusal(429, "the rate limit of the sandbox is used up", headers=(("Retry-After", seconds),))

    async def _once(self, call: Call, request: Request, delay: float) -> Answer:
        """Under a key that is honoured, a write is carried out once and its answer is given again."""
        honoured = self.options.idempotency is IdempotencyMode.HONOUR and request.operation in WRITES
        if not honoured or call.idempotency_key is None:
            return (await self._perform(call, request, delay))[0]
        key = parse_key(call.idempotency_key)
        record = self.records.open(key, _fingerprint(call))
        if record.answer is not None:
            if record.effect:
                record.effect.replays += 1
            return replace(record.answer, headers=(*record.answer.headers, REPLAYED))
        try:
            record.answer, record.effect = await self._perform(call, request, delay)
        finally:
            if record.answer is None:
                self.records.drop(key)
        return record.answer

    async def _perform(self, call: Call, request: Request, delay: float) -> tuple[Answer, Effect | None]:
        await _wait(delay + self.options.latency.total_seconds())
        now = self._clock()
        done = perform(request, self.state, now)
        effect = self._record(done.change, call, now) if done.change else None
        return json_answer(done.answer), effect

    def _record(self, change: Change, call: Call, now: datetime) -> Effect:
        effect = Effect(
            sequence=len(self.ledger.effects) + 1,
            at=self._monotonic(),
            time=now,
            name=change.name,
            old=change.old,
            new=change.new,
            key=call.idempotency_key or "",
            request_id=call.request_id,
        )
        self.ledger.effects.append(effect)
        return effect

    async def _issue_token(self, call: Call, delay: float) -> Answer:
        await _wait(delay)
        if call.method != "POST":
            return wrong_method_answer(call.method, ("POST",))
        try:
            check_client(call.authorization, call.body, self.options.client_id, self.options.client_secret)
        except Refusal as refusal:
            return refusal_answer(refusal)
        self.ledger.token_renewals += 1
        return json_answer(self.tokens.issue(self._monotonic()))


def _addressed(call: Call) -> Request | Answer:
    """What the call asks for; where no operation lives there, the gateway's answer to that."""
    match find_route(call.method, call.path):
        case Route(operation, name):
            return Request(operation, name, call.query, call.body)
        case WrongMethod(allowed):
            return wrong_method_answer(call.method, allowed)
        case None:
            return refusal_answer(Refusal(404, "Not Found"))


async def _faulted(
    fault: Fault | None, request: Request | None, work: Callable[[float], Awaitable[Answer]]
) -> Answer | Cut:
    """The work, with the fault in front of it or behind it. The fault's delay comes before the effect."""
    if fault is None:
        return await work(0.0)
    delay = 0.0 if fault.kind is Kind.SLOW_BODY else fault.delay
    if fault.does_the_work:
        return disguise(fault, await work(delay), request)
    await _wait(delay)
    return disguise(fault, None, request)


async def _wait(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


def _fingerprint(call: Call) -> str:
    text = f"{call.method} {call.path}?{call.query}\n".encode("utf-8", "surrogateescape")
    return blake2b(text + call.body, digest_size=16).hexdigest()
