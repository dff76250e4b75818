"""One claimed job's calls: which requests it takes, in which order, and what they come to. One permit a request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar, assert_never

from api_adapter.client import CoachingClient
from api_adapter.idempotency import idempotency_key
from api_adapter.outcomes import Answered, Missing, NotSent, Outcome, Unsupported
from api_adapter.rate_limit.permits import Permit, Settled
from schemas.coaching import Target, TargetPage, TargetWrite
from schemas.ids import format_job_id
from schemas.jobs import JobKind, PeriodWord, QuotaRecalculation, TargetCreation, TargetUpdate
from schemas.numbers import same_float32
from worker.chunk_time import ChunkTime
from worker.core.decisions import Decision, Effort, Fail, GiveBack, Retry, Succeed, decide
from worker.core.periods import period_meant
from worker.core.resolution import (
    AlreadyThere,
    ChangedElsewhere,
    Earlier,
    OtherIdentity,
    Send,
    compose,
    compose_creation,
    is_the_wished,
    must_read,
    resolve,
)
from worker.exchanges import settled, tried_of
from worker.permit_pool import PermitPool
from worker.store.claims import Claimed
from worker.store.records import Record, Tried
from worker.store.twins import Twin
from worker.tracing.spans import Kind, span

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Means:
    """What a chunk lends to the calls of its jobs. Nothing is sent any more once ``halted`` says so."""

    client: CoachingClient
    permits: PermitPool
    time: ChunkTime
    halted: Callable[[], bool]
    salt: str
    trusts_keys: bool
    key_memory: timedelta
    probing: bool
    now: Callable[[], datetime]
    uniform: Callable[[], float]


@dataclass(slots=True)
class Calls:
    """The calls of one job, as they happen."""

    job: Claimed
    means: Means
    tried: list[Tried] = field(default_factory=list)
    outcomes: list[Outcome[Any]] = field(default_factory=list)
    asked: QuotaRecalculation | None = None

    async def run(self) -> Record:
        """All the calls that the job takes now, and the decision they came to."""
        job = self.job
        match job.kind:
            case JobKind.QUOTA_RECALCULATION:
                decision = await self._recalculate(QuotaRecalculation.model_validate_json(job.wish))
                return Record(job, decision, tuple(self.tried), self.asked)
            case JobKind.TARGET_CREATION:
                return Record(job, await self._create(TargetCreation.model_validate_json(job.wish)), tuple(self.tried))
            case JobKind.TARGET_UPDATE:
                return Record(job, await self._update(TargetUpdate.model_validate_json(job.wish)), tuple(self.tried))
            case _:
                assert_never(job.kind)

    async def _recalculate(self, wish: QuotaRecalculation) -> Decision:
        if wish.period:
            return await self._recalculate_period(wish, wish.period)
        return await self._ask_quota(wish)

    async def _recalculate_period(self, wish: QuotaRecalculation, word: PeriodWord) -> Decision:
        template, usecase = wish.scorecard_template_name.partition("@")[0], wish.usecase_name or ""
        outcome = await self._send(
            lambda permit: self.means.client.retrieve_evaluation_periods(permit, template, usecase)
        )
        match outcome:
            case Answered(value=periods):
                period = period_meant(word, periods.evaluation_periods, self.means.now())
                if period is None:
                    return Fail("no_period", f"the remote names no {word} evaluation period of {template}")
                return await self._ask_quota(wish.model_copy(update={"evaluation_period": period}))
            case Missing() | Unsupported() if word == "current":
                return await self._ask_quota(wish)  # a remote without periods: what it counts then is its own
            case Missing(message=message) | Unsupported(message=message):
                return Fail("no_period", f"the remote cannot say which period is next: {message}")
            case _:
                return self._decide(outcome)

    async def _ask_quota(self, wish: QuotaRecalculation) -> Decision:
        self.asked = wish
        return self._decide(
            await self._send(lambda permit: self.means.client.retrieve_quota(permit, wish, self._key()))
        )

    async def _create(self, wish: TargetCreation) -> Decision:
        """A creation that may have happened is looked for first: no key is known to be honoured, no target has two."""
        if self.job.twin:
            return _known(self.job.twin, wish)
        if not self.job.read_first or self._trusts_key():
            return await self._create_now(wish)
        token = ""
        while True:
            outcome = await self._list(wish.profile, token)
            match outcome:
                case Answered(value=page):
                    if found := next((one for one in page.targets if is_the_wished(one, wish)), None):
                        return _found(found, wish)
                    if not (token := page.next_page_token):
                        return await self._create_now(wish)
                case Missing(message=message) | Unsupported(message=message):
                    told = f"it may have been created, and the remote does not list its targets: {message}"
                    return Fail("unsupported", told)
                case _:
                    return self._decide(outcome)

    async def _list(self, profile: str, token: str) -> Outcome[TargetPage] | None:
        return await self._send(lambda permit: self.means.client.list_targets(permit, profile, token))

    async def _create_now(self, wish: TargetCreation) -> Decision:
        write = compose_creation(wish)
        outcome = await self._send(
            lambda permit: self.means.client.create_target(permit, wish.profile, write, self._key())
        )
        if isinstance(outcome, Answered):
            return Succeed("created", outcome.value)
        return self._decide(outcome)

    async def _update(self, wish: TargetUpdate) -> Decision:
        doubtful = self.job.read_first and not self._trusts_key()
        if doubtful or must_read(wish, self.job.known):
            return await self._read_then_write(wish)
        return await self._write(compose(wish, self.job.known))

    async def _read_then_write(self, wish: TargetUpdate) -> Decision:
        outcome = await self._send(lambda permit: self.means.client.get_target(permit, wish.name))
        match outcome:
            case Answered(value=found):
                return await self._resolve(wish, found)
            case Missing(message=message):
                return Fail("not_found", message)
            case _:
                return self._decide(outcome)

    async def _resolve(self, wish: TargetUpdate, found: Target) -> Decision:
        job = self.job
        sent_before = job.first_sent_at if job.read_first else None
        baseline = job.baseline if job.baseline is not None or not job.known else job.known.target
        resolution = resolve(wish, found, Earlier(sent_before, baseline, job.ours), forced=job.forced)
        match resolution:
            case AlreadyThere():
                return Succeed("already_there", found)
            case Send(write=write):
                return await self._write(write)
            case OtherIdentity(fields=fields):
                return Fail("other_identity", f"the target there differs in {', '.join(fields)}; not sent", found)
            case ChangedElsewhere(found=value):
                message = f"somebody set {value:.9g} after our attempt to set {wish.target:.9g}; not overwritten"
                if wish.expected is not None:
                    message = f"the target has {value:.9g}, where {wish.expected:.9g} was expected; not overwritten"
                return Fail("changed_elsewhere", message, found)
            case _:
                assert_never(resolution)

    async def _write(self, write: TargetWrite) -> Decision:
        outcome = await self._send(lambda permit: self.means.client.update_target(permit, write, self._key()))
        return self._decide(outcome)

    def _trusts_key(self) -> bool:
        """Whether the remote still knows the key of our earlier attempts, and this one has the same."""
        since = self.job.first_sent_at
        fresh = since is None or self.means.now() - since < self.means.key_memory
        return self.means.trusts_keys and not self.job.round and fresh

    def _key(self) -> str:
        return idempotency_key(format_job_id(self.job.id), salt=self.means.salt, round_=self.job.round)

    def _decide(self, outcome: Outcome[Any] | None) -> Decision:
        if outcome is None or isinstance(outcome, NotSent):
            return self._stopped()
        write = self.job.kind is not JobKind.QUOTA_RECALCULATION
        effort = Effort(self.job.failures, write=write, probing=self.means.probing)
        return decide(outcome, effort, self.means.uniform)

    def _stopped(self) -> Decision:
        """No permit came in time. What was read does not count; the job is due again."""
        if not self.tried:
            return GiveBack()
        return Retry(timedelta(0), failure=False)

    async def _send(self, call: Callable[[Permit], Awaitable[Outcome[T]]]) -> Outcome[T] | None:
        while (permit := await self._permit()) is not None:
            outcome = await self._with(permit, call)
            if not isinstance(outcome, NotSent):
                return outcome
        return None

    async def _permit(self) -> Permit | None:
        begun = bool(self.tried)
        time = self.means.time
        permit = await self.means.permits.take(time.finish_by if begun else time.begin_by, ahead=begun)
        if permit is not None and self.means.halted():
            self.means.permits.settle(Settled(permit, sent=False))
            return None
        return permit

    async def _with(self, permit: Permit, call: Callable[[Permit], Awaitable[Outcome[T]]]) -> Outcome[T]:
        started_at = self.means.now()
        try:
            with span("request", kind=Kind.CLIENT) as request:
                outcome = await call(permit)
                request.tell(operation=outcome.exchange.operation, status=outcome.exchange.status)
        except BaseException:
            self.means.permits.settle(Settled(permit))  # it may have left
            raise
        self.means.permits.settle(settled(permit, outcome))
        if not isinstance(outcome, NotSent):
            self.tried.append(tried_of(outcome, started_at))
            self.outcomes.append(outcome)
        return outcome


def _known(twin: Twin, wish: TargetCreation) -> Decision:
    if same_float32(twin.target, wish.target) and not twin.uncertain:
        return Succeed("known", None)
    seen = f"there is such a target, {twin.name}, which was last seen with {twin.target:.9g}; nothing was sent"
    return Fail("exists", seen)


def _found(found: Target, wish: TargetCreation) -> Decision:
    if same_float32(found.target, wish.target):
        return Succeed("already_there", found)
    return Fail("exists", f"there is such a target, {found.name}, and it has {found.target:.9g}", found)
