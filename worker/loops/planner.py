"""The planner makes wishes of the roster: events and times that have come, through the policy, to quotas and targets.

Four steps, each of pages that commit by themselves; a planner that dies between two of them has done nothing that the
next one does again. One works at a time: its turn is a row.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import Session

from schemas.ids import job_id
from schemas.jobs import TargetCreation, TargetUpdate, Wish
from schemas.lanes import Lane
from schemas.names import customer_of
from schemas.policy import Policy
from schemas.roster import RosterAgent
from worker.configuration.oversight import GuardOptions, RosterOptions
from worker.configuration.remotes import NoRemote, Remote
from worker.core.acceptance import Acceptance, Fate, Offer, Quiet
from worker.core.guard import judge_share
from worker.core.policy import QuotaAsk, WantedTarget, policy_digest, quota_asks, review_at, wants_of
from worker.core.roster import agent_of, facts_from_json, newest
from worker.intake.accept import canonical
from worker.log import get_logger
from worker.store import approvals, batches, cadences, planning, policies
from worker.store.acceptance import Page, accept_page
from worker.store.batches import NewBatch
from worker.store.engine import Database, database_now
from worker.store.planning import NewAsk
from worker.store.policies import InForce
from worker.store.roster import AgentKey
from worker.store.roster_models import AgentRow, RosterEventRow, Want

TURN = "planner"
TURN_LASTS = timedelta(seconds=30)
POLICY_DOOR = "policy"
MOST_PAGES = 20
_log = get_logger(__name__)


def listing_of(profile: str) -> str:
    """The name of the cadence at which a profile's targets are looked at."""
    return f"targets {profile}"


@dataclass(slots=True)
class Planner:
    """``remote_for`` says who serves a customer; nobody: what is wanted there waits, with the reason."""

    database: Database
    policy: Policy
    roster: RosterOptions
    guard: GuardOptions
    remote_for: Callable[[str], Remote | NoRemote]
    digest: str = field(init=False)
    force: InForce | None = None

    def __post_init__(self) -> None:
        self.digest = policy_digest(self.policy)

    def run_once(self) -> int:
        """Returns how many events, agents and wants were worked on."""
        if not self._something_to_do():
            return 0
        done = 0
        for step in (self._adopt, self._plan_events, self._review, self._ask):
            for _ in range(MOST_PAGES):
                worked = self._alone(step)
                done += worked
                if worked == 0:
                    break
        return done

    def _something_to_do(self) -> bool:
        with self.database.read() as session:
            self.force = policies.in_force(session)
            if self.force is None or policy_digest(self.force.policy) != self.digest:
                return True
            return planning.something_to_plan(session, self.force.id)

    def _alone(self, step: Callable[[Session], int]) -> int:
        """One page of a step, in a transaction that holds the turn."""
        with self.database.write() as session:
            cadences.make_known(session, [TURN])
            if cadences.take_turn(session, TURN, TURN_LASTS) is None:
                return 0
            self.force = policies.in_force(session)
            worked = step(session)
            cadences.set_next(session, TURN, timedelta(0))
            return worked

    def _adopt(self, session: Session) -> int:
        """The settings' policy comes into force, unless it changes so much that a person has to say so."""
        if self.force and policy_digest(self.force.policy) == self.digest:
            return 0
        row = policies.remember(session, self.digest, self.policy)
        if not approvals.is_approved(session, POLICY_DOOR, self.digest):
            standing = approvals.find(session, row.approval_id) if row.approval_id else None
            if standing and standing.state == approvals.WAITING and standing.expires_at > database_now(session):
                return 0
            if reason := self._weigh_policy(session):
                subject = "the policy of coachsync.toml"
                asked = approvals.Asked(POLICY_DOOR, self.digest, subject, reason)
                approval = approvals.request(session, asked, self.guard.approval_lasts)
                policies.note_approval(session, row.id, approval.id)
                _log.error("policy_held", reason=reason, approval=approval.id)
                return 0
        policies.adopt(session, row.id)
        self.force = policies.in_force(session)
        _log.info("policy_adopted", policy=row.id)
        return 1

    def _weigh_policy(self, session: Session) -> str | None:
        changed = known = 0
        now, after = database_now(session), ("", "")
        while page := planning.all_agents(session, after, planning.PAGE):
            after = (page[-1].profile, page[-1].agent)
            before = planning.wants_of(session, {(row.profile, row.agent) for row in page})
            after_it = {want.identity: want.target for row in page for want in self._wants(row, self.policy, now, now)}
            known += len(before)
            changed += sum(after_it.get(identity) != want.target for identity, want in before.items())
        return judge_share(changed, known, "targets would change or be wanted no more by a new policy", self.guard)

    def _plan_events(self, session: Session) -> int:
        events = planning.waiting_events(session)
        if not events or self.force is None:
            return 0
        self._ask_quotas(session, events)
        latest = {(event.profile, event.agent): event.seq for event in events}
        self._weigh(session, planning.agents_named(session, latest.keys()), latest)
        planning.mark_planned(session, events)
        return len(events)

    def _review(self, session: Session) -> int:
        if self.force is None:
            return 0
        some = planning.agents_to_review(session, self.force.id)
        self._weigh(session, some, {})
        return len(some)

    def _ask_quotas(self, session: Session, events: Sequence[RosterEventRow]) -> None:
        assert self.force is not None  # noqa: S101 - asked before
        asked = [
            (event.seq, ask)
            for event in events
            for ask in quota_asks(_agent(event.before), _agent(event.after), self.force.policy)
        ]
        wishes = {ask.wish.resource: ask.wish for _, ask in asked}
        placed = self._accept(session, wishes.values(), f"e{events[0].seq} to e{events[-1].seq}")
        planning.keep_asks(session, [_ask_of(event, ask, placed) for event, ask in asked])

    def _weigh(self, session: Session, some: Sequence[AgentRow], latest: dict[AgentKey, int]) -> None:
        """Hold what the agents are to have against what was wanted of them so far."""
        assert self.force is not None  # noqa: S101 - asked before
        now = database_now(session)
        keys = [(row.profile, row.agent) for row in some]
        before = planning.wants_of(session, keys)
        wanted = {
            want.identity: want for row in some for want in self._wants(row, self.force.policy, now, self.force.since)
        }
        new = [want for want in wanted.values() if _is_new(before.get(want.identity), want)]
        same = [want for want in wanted.values() if want not in new and _by_other_rule(before[want.identity], want)]
        events = {want: latest.get((want.profile, want.agent)) for want in new}
        planning.keep_wants(session, events)
        planning.rename_rules(session, same)
        planning.drop_wants(session, before.keys() - wanted.keys())
        planning.keep_asks(session, [NewAsk(seq, one.rule, one.identity) for one, seq in events.items() if seq])
        planning.note_weighed(
            session, {key: self._review_at(row, now) for key, row in zip(keys, some, strict=True)}, self.force.id
        )

    def _wants(self, row: AgentRow, policy: Policy, at: datetime, since: datetime) -> tuple[WantedTarget, ...]:
        facts = facts_from_json(row.facts)
        agent = agent_of(row.profile, row.agent, facts)
        return wants_of(agent, policy, at, max(since, newest(facts))) if agent else ()

    def _review_at(self, row: AgentRow, now: datetime) -> datetime | None:
        agent = agent_of(row.profile, row.agent, facts_from_json(row.facts))
        return review_at(agent, self.force.policy, now) if agent and self.force else None

    def _ask(self, session: Session) -> int:
        """Wants become wishes: by name where the target is known, as a creation where it is known not to be there."""
        some = planning.unasked_wants(session)
        names = planning.names_by_identity(session, some)
        creating = planning.open_jobs(session, {want.identity for want in some})
        listed = planning.listed_since(session, {want.profile for want in some})
        wishes: dict[str, Wish] = {}
        obstacles: dict[str, str] = {}
        for want in some:
            name = names.get(_identity(want))
            served = self.remote_for(customer_of(want.profile))
            if isinstance(served, NoRemote):
                obstacles[want.identity] = served.message
            elif name:
                wishes[want.identity] = _update(want, name)
            elif want.identity not in creating:
                if obstacle := _obstacle(want, *listed[want.profile]):
                    obstacles[want.identity] = obstacle
                else:
                    wishes[want.identity] = _creation(want)
        self._hinder(session, some, obstacles)
        jobs = self._accept(session, wishes.values(), "what the policy wants")
        planning.mark_asked(
            session, {identity: jobs[wish.resource] for identity, wish in wishes.items() if wish.resource in jobs}
        )
        return len(wishes) + len(obstacles)

    def _hinder(self, session: Session, some: Sequence[Want], obstacles: dict[str, str]) -> None:
        planning.mark_hindered(session, obstacles)
        unlisted = {want.profile for want in some if obstacles.get(want.identity) == UNLISTED}
        cadences.hasten(session, map(listing_of, unlisted))

    def _accept(self, session: Session, wishes: Iterable[Wish], label: str) -> dict[str, int]:
        """The job of each resource. What nobody serves, or the door refuses, has none."""
        served = [wish for wish in wishes if isinstance(self.remote_for(customer_of(wish.resource)), Remote)]
        if not served:
            return {}
        batch = batches.open_batch(session, NewBatch(POLICY_DOOR, Lane.BULK, label))
        offers = [Offer(job_id(batch.id, row), row, wish, canonical(wish)) for row, wish in enumerate(served, start=1)]
        quiet = Quiet(self.roster.quiet, self.roster.longest)
        plan = accept_page(session, Page(batch.id, Lane.BULK, offers, quiet=quiet), self._remote_name)
        batches.seal(session, batch.id)
        return _jobs_of(plan)

    def _remote_name(self, resource: str) -> str:
        remote = self.remote_for(customer_of(resource))
        assert isinstance(remote, Remote)  # noqa: S101 - others were left out before
        return remote.name


UNLISTED = "the remote's targets have not been listed since; they are about to be"


def _obstacle(want: Want, listed: datetime | None, lists: bool) -> str | None:  # noqa: FBT001 - a row's two columns
    """Why a target that is not known cannot be made now; None where it can."""
    if not lists:
        return "the remote does not list its targets, so nobody knows whether it is there; update it once by its name"
    if listed is None or listed < want.wanted_at:
        return UNLISTED
    if not want.creates:
        return f"the remote has no such target, and the rule {want.rule!r} creates none (create = true)"
    return None


def _is_new(before: Want | None, want: WantedTarget) -> bool:
    return before is None or before.target != want.target or before.agent != want.agent


def _by_other_rule(before: Want, want: WantedTarget) -> bool:
    return (before.rule, before.creates, before.drift) != (want.rule, want.creates, want.drift)


def _identity(want: Want) -> tuple[str, str, str, str]:
    return want.scorecard_template_name, want.usecase_name, want.criterion_or_chapter_id, want.coaching_plan_name


def _update(want: Want, name: str) -> TargetUpdate:
    return TargetUpdate(
        name=name,
        scorecard_template_name=want.scorecard_template_name,
        usecase_name=want.usecase_name,
        criterion_or_chapter_id=want.criterion_or_chapter_id,
        coaching_plan_name=want.coaching_plan_name,
        target=want.target,
        as_of=want.as_of,
    )


def _creation(want: Want) -> TargetCreation:
    return TargetCreation(
        scorecard_template_name=want.scorecard_template_name,
        usecase_name=want.usecase_name,
        criterion_or_chapter_id=want.criterion_or_chapter_id,
        coaching_plan_name=want.coaching_plan_name,
        target=want.target,
        as_of=want.as_of,
    )


def _jobs_of(plan: Acceptance) -> dict[str, int]:
    """An older wish that was superseded at the door is a job too: its story says which one is newer."""
    return {one.offer.wish.resource: one.offer.id for one in plan.accepted if one.fate is not Fate.REPEATED}


def _ask_of(event: int, ask: QuotaAsk, jobs: dict[str, int]) -> NewAsk:
    return NewAsk(event, ask.rule, ask.wish.resource, jobs.get(ask.wish.resource))


def _agent(record: str | None) -> RosterAgent | None:
    return RosterAgent.model_validate_json(record) if record else None
