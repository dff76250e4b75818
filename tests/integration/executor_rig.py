"""An executor with everything real around it: a store, a sandbox over HTTP, the in-process limiter."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from api_adapter.auth.static import BearerToken
from api_adapter.client import CoachingClient
from api_adapter.outcomes import Operation
from api_adapter.rate_limit.local import LocalLimiter
from api_adapter.rate_limit.policy import History, Policy, RateLimit
from api_adapter.sandbox.idempotency import IdempotencyMode
from api_adapter.sandbox.options import SandboxOptions
from api_adapter.sandbox.seed import sample_targets
from api_adapter.sandbox.server import RunningSandbox, running_sandbox
from api_adapter.sandbox.targets import Target as SandboxTarget
from api_adapter.transport import Timeouts, Transport
from schemas.jobs import TargetUpdate, Wish
from schemas.lanes import Lane
from tests.integration import store_rig
from worker.clock import new_id, utc_now
from worker.configuration.values import KEY_MEMORY
from worker.executor import Chunk, Executor, RemoteAccess, Summary
from worker.store import quarantine
from worker.store.engine import Database
from worker.store.models import Job, Quarantine

WINDOW = timedelta(seconds=3)  # longer than what a limiter without memory waits out
REQUEST_TIMEOUT = timedelta(seconds=10)  # no slowness of the machine looks like an answer that is late
HURRIED = timedelta(seconds=0.6)
TARGETS = sample_targets("acme", 60)
TOKEN = "the-fleets-token"
_CHUNKS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Options:
    """``limit`` requests in three seconds. ``trusts_keys``: the remote honours keys, and we rest on that."""

    limit: int = 30_000
    max_in_flight: int = 32
    trusts_keys: bool = False
    key_memory: timedelta = KEY_MEMORY
    token: str = ""
    request_timeout: timedelta = REQUEST_TIMEOUT
    faults: Sequence[Mapping[str, Any]] = ()


@dataclass
class Rig:
    """One worker process's executor and its remote; ``beside`` is another process on the same store and remote."""

    store: Database
    sandbox: RunningSandbox
    limiter: LocalLimiter
    executor: Executor
    access: RemoteAccess
    stack: AsyncExitStack = field(repr=False, default_factory=AsyncExitStack)

    async def run(self, *ids: int, probe: bool = False, message: str | None = None) -> Summary:
        """One chunk; ``message`` is its Celery id, and so the owner of its leases."""
        chunk = Chunk(message or f"message-{next(_CHUNKS)}", "default", Lane.BULK, ids, probe)
        return await self.executor.run_chunk(chunk, self.access)

    async def run_again(self, *ids: int, **how: Any) -> Summary:
        """Once every wait is over."""
        store_rig.let_time_pass(self.store)
        return await self.run(*ids, **how)

    async def beside(self) -> "Rig":
        transport = await self.stack.enter_async_context(_transport(self.access.request_timeout))
        return Rig(self.store, self.sandbox, self.limiter, _executor(self.store, "beside"), access(self, transport))

    async def effect(self) -> None:
        """Something is written there, whenever it was asked for."""
        async with asyncio.timeout(30):
            while not self.sandbox.ledger.effects:  # noqa: ASYNC110 - a ledger sets no event
                await asyncio.sleep(0.005)

    async def arrival(self) -> None:
        """The remote has got the first request."""
        async with asyncio.timeout(30):
            while not self.sandbox.ledger.arrivals:  # noqa: ASYNC110 - a ledger sets no event
                await asyncio.sleep(0.005)

    def script(self, *faults: Mapping[str, Any], **match: Any) -> None:
        """Each request of the match meets the next fault, once."""
        self.sandbox.api.script_faults([{"fault": fault, "times": 1, "match": match} for fault in faults])

    def always(self, fault: Mapping[str, Any], **match: Any) -> None:
        self.sandbox.api.script_faults([{"fault": fault, "match": match}])

    def accept(self, *wishes: Wish, **how: Any) -> list[int]:
        return store_rig.job_ids(self.store, *wishes, **how)

    def job(self, id_: int) -> Job:
        return store_rig.job(self.store, id_)

    def value(self, number: int) -> float:
        return self.there(number).target

    def there(self, number: int) -> SandboxTarget:
        return self.sandbox.state.targets[TARGETS[number].name]

    def effects(self, number: int) -> int:
        return len(self.sandbox.ledger.effects_of(TARGETS[number].name))

    def asked(self) -> list[Operation | None]:
        return [arrival.operation for arrival in self.sandbox.ledger.arrivals]

    def quarantined(self) -> Quarantine | None:
        with self.store.read() as session:
            return quarantine.find(session, "default")

    def let_the_clock_say(self, later: timedelta) -> None:
        """The worker's clock, from now on, is so much ahead."""
        self.executor = replace(self.executor, now=lambda: utc_now() + later)

    def restart(self) -> None:
        """The process dies and another takes its place: what it had learned of the remote is gone."""
        self.access = access(self, self.access.client._transport)


def access(rig: Rig, transport: Transport, *, trusts_keys: bool | None = None) -> RemoteAccess:
    return RemoteAccess(
        name="default",
        client=_client(rig.sandbox.url, transport),
        limiter=rig.limiter,
        max_in_flight=rig.limiter.policy.max_in_flight,
        request_timeout=rig.access.request_timeout,
        trusts_keys=rig.access.trusts_keys if trusts_keys is None else trusts_keys,
        key_memory=rig.access.key_memory,
    )


def wish(number: int, value: float = 42.0, **said: Any) -> TargetUpdate:
    """For one of the sandbox's targets, its identity stated in full."""
    target = TARGETS[number]
    fields = {
        "name": target.name,
        "scorecard_template_name": target.scorecard_template_name,
        "usecase_name": target.usecase_name,
        "criterion_or_chapter_id": target.criterion_or_chapter_id,
        "coaching_plan_name": target.coaching_plan_name,
        "target": value,
    }
    return TargetUpdate.model_validate(fields | said)


@asynccontextmanager
async def rigged(store: Database, options: Options = Options()) -> AsyncIterator[Rig]:
    async def nothing_sent() -> History:
        return History({WINDOW: 0})

    mode = IdempotencyMode.HONOUR if options.trusts_keys else IdempotencyMode.OFF
    served = SandboxOptions(targets=len(TARGETS), faults=options.faults, idempotency=mode, token=options.token)
    policy = Policy((RateLimit(options.limit, WINDOW),), max_in_flight=options.max_in_flight)
    limiter = LocalLimiter("default", policy, time.monotonic, seed=nothing_sent)
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(running_sandbox(served))
        transport = await stack.enter_async_context(_transport(options.request_timeout))
        remote = RemoteAccess(
            "default", _client(sandbox.url, transport), limiter, options.max_in_flight, options.request_timeout,
            options.trusts_keys, options.key_memory,
        )  # fmt: skip
        yield Rig(store, sandbox, limiter, _executor(store, "host:1"), remote, stack)


def _executor(store: Database, name: str) -> Executor:
    return Executor(store, "the salt of the tests", name, utc_now, lambda: 0.0)


def _transport(timeout: timedelta) -> Transport:
    seconds = timeout.total_seconds()
    return Transport(timeouts=Timeouts(read=seconds, total=seconds))


def _client(url: str, transport: Transport) -> CoachingClient:
    return CoachingClient(
        base_url=url,
        transport=transport,
        authenticator=BearerToken(SecretStr(TOKEN)),
        new_request_id=new_id,
        clock=utc_now,
    )
