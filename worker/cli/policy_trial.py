"""Events tried on the policy: what each would ask for, and what would become of that at the remote."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from schemas.jobs import TargetCreation, TargetUpdate
from schemas.names import customer_of
from schemas.policy import Policy
from schemas.roster import RosterAgent
from worker.cli.policy_state import is_in_force
from worker.configuration.remotes import NoRemote
from worker.configuration.settings import Settings
from worker.core.naming import Known, Obstacle, wish_or_obstacle
from worker.core.policy import WantedTarget
from worker.core.policy_trial import Step, Tried, try_policy
from worker.core.roster import agent_of, facts_from_json
from worker.intake.roster_events import Submission, foresee
from worker.intake.roster_folding import Event, Told
from worker.loops.planner import SOURCE
from worker.runtime import Runtime
from worker.store import naming, planning
from worker.store.engine import database_now
from worker.store.known import find_target

_IN_AT_ONCE = 400
Fate = TargetUpdate | TargetCreation | Obstacle


@dataclass(frozen=True, slots=True)
class Wanted:
    """``there`` is what the remote was last seen with."""

    want: WantedTarget
    fate: Fate
    there: float | None


@dataclass(frozen=True, slots=True)
class TriedEvent:
    told: Told
    tried: Tried
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """``stopped``: why the guard would stop these events, empty where it would not."""

    events: tuple[TriedEvent, ...]
    duplicates: int
    stopped: str
    in_force: bool

    @property
    def quota_jobs(self) -> int:
        """However many ask: what is asked for by several is asked once."""
        return len({ask.wish.resource for one in self.events for ask in one.tried.quotas})

    @property
    def target_jobs(self) -> int:
        """The last want of each counts."""
        last = {wanted.want.identity: wanted.fate for one in self.events for wanted in one.wanted}
        return sum(not isinstance(fate, Obstacle) for fate in last.values())


def try_events(runtime: Runtime, events: Sequence[Event]) -> Trial:
    """Nothing is written. Raises ``EventsRefused`` for what the roster's door would not take."""
    settings = runtime.settings
    foreseen = foresee(runtime.database, Submission(events, "test", "a test"), settings.guard)
    with runtime.database.read() as session:
        tried = [*_try(session, settings.policy, foreseen.told)]
        fates = _fates(session, settings, [want for one in tried for want in one.targets.new])
        found = tuple(
            TriedEvent(told, one, tuple(fates[want] for want in one.targets.new))
            for told, one in zip(foreseen.told, tried, strict=True)
        )
        return Trial(found, foreseen.receipt.duplicates, foreseen.reason, is_in_force(session, settings.policy))


def _try(session: Session, policy: Policy, told: Sequence[Told]) -> Iterator[Tried]:
    both = [agent for one in told for agent in (one.before, one.after) if agent]
    plans = {agent.coaching_plan_name for agent in both} - {""}
    steps = [Step(one.before, one.after, one.event.time) for one in told]
    return try_policy(policy, steps, _sharing(session, plans), database_now(session))


def _sharing(session: Session, plans: Collection[str]) -> Iterator[RosterAgent]:
    ordered = sorted(plans)
    for start in range(0, len(ordered), _IN_AT_ONCE):
        for row in planning.agents_sharing(session, ordered[start : start + _IN_AT_ONCE]):
            if agent := agent_of(row.profile, row.agent, facts_from_json(row.facts)):
                yield agent


def _fates(session: Session, settings: Settings, wanted: Sequence[WantedTarget]) -> dict[WantedTarget, Wanted]:
    found: dict[WantedTarget, Wanted] = {}
    now = database_now(session)
    for start in range(0, len(wanted), _IN_AT_ONCE):
        some = wanted[start : start + _IN_AT_ONCE]
        known = naming.known_of(session, some, SOURCE)
        found |= {want: _fate(session, settings, want, known[want.identity], now) for want in some}
    return found


def _fate(session: Session, settings: Settings, want: WantedTarget, known: Known, now: datetime) -> Wanted:
    """As the planner would have it; that the remote's targets are listed anew before it makes one is left aside."""
    remote = settings.remote_for(customer_of(want.identity))
    if isinstance(remote, NoRemote):
        return Wanted(want, Obstacle(remote.message), None)
    there = find_target(session, known.name) if known.name else None
    return Wanted(want, wish_or_obstacle(want, known.listed or now, known), there.target if there else None)
