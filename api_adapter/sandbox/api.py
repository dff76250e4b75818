"""The Coaching API itself, from a call to its answer: arrive, fault, admit, once, perform, disguise."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from math import ceil

from api_adapter.sandbox.answers import Answer, Cut, json_answer, refusal_answer, wrong_method_answer
from api_adapter.sandbox.authentication import TOKEN_PATH, IssuedTokens, check_authorization, check_client
from api_adapter.sandbox.cooldown import Cooldown, announced_wait
from api_adapter.sandbox.disguises import disguise, omit_defaults
from api_adapter.sandbox.errors import Refusal
from api_adapter.sandbox.faults import Fault, Faults, parse_faults
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
    """One HTTP request, as far as the API looks at it. ``path`` is percent-decoded, headers are empty where absent."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    authorization: str = ""
    idempotency_key: str = ""
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
        self.set_faults(Faults(parse_faults(options.faults), options.seed))
        self.set_limit(options.rate_limit)

    def set_faults(self, faults: Faults) -> None:
        self.faults = faults

    def set_limit(self, rate_limit: str) -> None:
        self.limit = Limit(parse_windows(rate_limit))

    def change(self, options: SandboxOptions) -> None:
        self.options = options

    async def answer(self, call: Call) -> Answer | Cut:
        fault = self.faults.next(call.method, call.path)
        if call.path == TOKEN_PATH:
            return await _faulted(fault, None, lambda delay: self._issue_token(call, delay))
        route = find_route(call.method, call.path)
        arrival = self._arrive(call, route, fault)
        request = Request(route.operation, route.name, call.query, call.body) if isinstance(route, Route) else None
        answer = await _faulted(fault, request, lambda delay: self._work(call, route, arrival, delay))
        if isinstance(answer, Answer):
            arrival.status = answer.status
            self._note_cooldown(answer)
        return answer

    def _arrive(self, call: Call, route: Route | WrongMethod | None, fault: Fault | None) -> Arrival:
        now = self._monotonic()
        arrival = Arrival(
            at=now,
            wall=self._clock(),
            operation=route.operation if isinstance(route, Route) else None,
            name=route.name if isinstance(route, Route) else call.path,
            key=call.idempotency_key,
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

    async def _work(self, call: Call, route: Route | WrongMethod | None, arrival: Arrival, delay: float) -> Answer:
        if route is None:
            return refusal_answer(Refusal(404, "Not Found"))
        if isinstance(route, WrongMethod):
            return wrong_method_answer(call.method, route.allowed)
        request = Request(route.operation, route.name, call.query, call.body)
        try:
            self._admit(call, arrival.at)
            answer = await self._once(call, request, delay)
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
        if not (honoured and call.idempotency_key):
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
        done = perform(request, self.state, self._clock())
        effect = self._record(done.change, call) if done.change else None
        return json_answer(done.answer), effect

    def _record(self, change: Change, call: Call) -> Effect:
        effect = Effect(
            sequence=len(self.ledger.effects) + 1,
            at=self._monotonic(),
            time=self._clock(),
            name=change.name,
            old=change.old,
            new=change.new,
            key=call.idempotency_key,
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


async def _faulted(
    fault: Fault | None, request: Request | None, work: Callable[[float], Awaitable[Answer]]
) -> Answer | Cut:
    """The work, with the fault in front of it or behind it. The fault's delay comes before the effect."""
    if fault is None:
        return await work(0.0)
    delay = 0.0 if fault.kind == "slow_body" else fault.delay
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
