"""A roster, a policy and a remote: the door, the planner and the reconciler around an executor's rig."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from api_adapter.client import CoachingClient
from api_adapter.outcomes import Outcome
from api_adapter.rate_limit.permits import Permit, Settled
from schemas.instants import format_instant
from schemas.jobs import JobState
from schemas.lanes import Lane
from schemas.names import profile_of
from schemas.policy import Policy, QuotaRule, TargetRule
from schemas.roster import ROSTER_EVENT, AgentEvent, SnapshotEvent
from tests.integration.executor_rig import TARGETS, Rig
from tests.integration.store_rig import let_time_pass
from worker.clock import utc_now
from worker.configuration.oversight import GuardOptions, ReconcileOptions, RosterOptions
from worker.configuration.remotes import NoRemote, Remote
from worker.configuration.settings import Settings
from worker.exchanges import NoPermit, Read
from worker.intake.roster_events import EventReceipt, Submission, accept_events
from worker.loops.planner import Planner
from worker.loops.reconciler import Reconciler
from worker.reader import read
from worker.store.engine import Database
from worker.store.roster_models import Want
from worker.store.tables import cadences, jobs

PROFILE = profile_of(TARGETS[0].name)
VOICE, CHAT = f"{PROFILE}/usecases/voice", f"{PROFILE}/usecases/chat"
COMPLIANCE = f"{PROFILE}/scorecardTemplates/compliance"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_IDS = itertools.count(1)


def plan_of(agent: str) -> str:
    return f"{PROFILE}/coachingPlans/plan-{agent}"


def event(verb: str, agent: str, at: float = 0, *, id_: str = "", **said: Any) -> AgentEvent | SnapshotEvent:
    """``at`` in hours after LONG_AGO. Who joins takes calls, in the group tier-1, with a plan of their own."""
    data: dict[str, Any] = {"agent": agent, "profile": PROFILE}
    if verb == "joined":
        data |= {"groups": ["tier-1"], "usecases": [VOICE], "coachingPlanName": plan_of(agent)}
    return ROSTER_EVENT.validate_python(
        {
            "specversion": "1.0",
            "id": id_ or f"id-{next(_IDS)}",
            "source": "/hr",
            "type": f"coaching.roster.agent.{verb}",
            "time": format_instant(LONG_AGO + timedelta(hours=at)),
            "data": data | said,
        }
    )


def snapshot(agents: Sequence[str], at: float = 0, **said: Any) -> AgentEvent | SnapshotEvent:
    told = [
        {
            "agent": agent,
            "profile": PROFILE,
            "groups": ["tier-1"],
            "usecases": [VOICE],
            "coachingPlanName": plan_of(agent),
        }
        | said
        for agent in agents
    ]
    return ROSTER_EVENT.validate_python(
        {
            "specversion": "1.0",
            "id": f"id-{next(_IDS)}",
            "source": "/hr",
            "type": "coaching.roster.snapshot",
            "time": format_instant(LONG_AGO + timedelta(hours=at)),
            "data": {"profile": PROFILE, "agents": told},
        }
    )


def quota_rule(name: str = "voice quota", **said: Any) -> QuotaRule:
    return QuotaRule.model_validate({"name": name, "template": f"{COMPLIANCE}@3", "usecase": VOICE} | said)


def target_rule(name: str = "everybody", target: float = 75, **said: Any) -> TargetRule:
    fields = {"name": name, "template": COMPLIANCE, "usecase": VOICE, "target": target, "create": True}
    return TargetRule.model_validate(fields | said)


POLICY = Policy(
    quotas=(quota_rule(),),
    targets=(
        target_rule("new hires", 60, first_days=30),
        target_rule("second tier", 85, groups=["tier-2"]),
        target_rule(),
    ),
)


def serve(customer: str) -> Remote | NoRemote:
    return REMOTE if customer == "acme" else NoRemote(customer, f"no remote serves {customer}")


REMOTE = Remote(
    name="default",
    api_url="http://127.0.0.1:1",
    credentials=Settings.model_fields["credentials"].default,
    rate_limit="600000/minute",
    max_in_flight=32,
    request_timeout=timedelta(seconds=1),
    idempotency=Settings.model_fields["idempotency"].default,
)


@dataclass
class Centre:
    """``quiet`` is zero here: tests say when time passes."""

    store: Database
    policy: Policy = POLICY
    guard: GuardOptions = field(default_factory=GuardOptions)
    options: RosterOptions = field(default_factory=lambda: RosterOptions.model_validate({"quiet": 0, "longest": 0}))

    def tell(self, *events: AgentEvent | SnapshotEvent, **how: Any) -> EventReceipt:
        return accept_events(self.store, Submission(events, "test", "a test", **how), self.guard)

    def planner(self) -> Planner:
        return Planner(self.store, self.policy, self.options, self.guard, serve)

    def plan(self) -> int:
        return self.planner().run_once()

    def wants(self) -> dict[str, Want]:
        """By agent; each has one target at most in these tests."""
        with self.store.read() as session:
            return {want.agent: want for want in session.execute(select(Want)).scalars()}

    def open_jobs(self, *kinds: str) -> list[int]:
        with self.store.read() as session:
            query = select(jobs.c.id).where(jobs.c.state == JobState.PENDING).order_by(jobs.c.id)
            return list(session.execute(query.where(jobs.c.kind.in_(kinds)) if kinds else query).scalars())

    def look_now(self) -> None:
        """Whatever has a cadence is due."""
        with self.store.write() as session:
            session.execute(update(cadences).values(due_at=utc_now() - timedelta(hours=1)))


@dataclass
class Overseen:
    """A centre whose wishes go to a real remote."""

    centre: Centre
    rig: Rig
    reconcile: ReconcileOptions = field(default_factory=ReconcileOptions)

    async def settle(self) -> None:
        """Plan, send and compare until nothing is left to do."""
        for _ in range(12):
            planned = self.centre.plan()
            let_time_pass(self.centre.store)
            waiting = self.centre.open_jobs()
            if waiting:
                await self.rig.run(*waiting)
            looked = await self.look()
            if not (planned or waiting or looked):
                return
        raise AssertionError("it does not come to rest")

    async def look(self) -> int:
        """What is due is compared, as soon as the limiter has warmed up."""
        limiter = self.rig.access.limiter
        while not (grant := await limiter.exchange(Lane.BULK, 1)).permits:  # noqa: ASYNC110 - a limiter sets no event
            await asyncio.sleep(grant.retry_in.total_seconds())
        await limiter.exchange(Lane.BULK, 0, [Settled(permit, sent=False) for permit in grant.permits])
        return await asyncio.to_thread(self.reconciler().run_once)

    async def pass_over(self) -> None:
        """A whole pass, due or not."""
        self.centre.look_now()
        for _ in range(100):
            if not await self.look():
                return

    def reconciler(self, gap: timedelta = timedelta(0)) -> Reconciler:
        loop = asyncio.get_running_loop()

        def ask(_: str, call: Callable[[CoachingClient, Permit], Awaitable[Outcome[Any]]]) -> Read[Any] | NoPermit:
            return asyncio.run_coroutine_threadsafe(read(self.rig.access, call, utc_now), loop).result(90)

        return Reconciler(self.centre.store, self.reconcile, serve, ask, lambda _: gap, "tests:1")

    def value_of(self, agent: str) -> list[float]:
        """What the remote has for the agent's plan."""
        there = self.rig.sandbox.state.targets.values()
        return [target.target for target in there if target.coaching_plan_name == plan_of(agent)]

    def set_by_hand(self, agent: str, value: float) -> None:
        """Somebody changes it in the product."""
        state = self.rig.sandbox.state
        for target in list(state.targets.values()):
            if target.coaching_plan_name == plan_of(agent):
                state.put(replace(target, target=value, update_time=utc_now()))
