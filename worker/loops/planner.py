"""The planner makes wishes of the roster: events and times that have come, through the policy, to quotas and targets.

Each page of each step is a transaction: a planner that dies between two of them has done nothing that the next one
does again. One works at a time: its turn is a row, locked until the page is written.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from sqlmodel import Session

from schemas.policy import Policy
from worker.configuration.oversight import GuardOptions, RosterOptions
from worker.configuration.remotes import NoRemote, Remote
from worker.core.acceptance import Quiet
from worker.planning.adoption import Adoption
from worker.planning.asking import ask
from worker.planning.events import plan_events
from worker.planning.placing import Placing
from worker.planning.weighing import weigh
from worker.store import cadences, planning, policies
from worker.store.engine import Database
from worker.store.policies import InForce

SOURCE = "policy"
TURN = "planner"
TURN_LASTS = timedelta(seconds=30)
MOST_PAGES = 20

Step = Callable[[Session, InForce], int]


@dataclass(slots=True)
class Planner:
    """``remote_for`` says who serves a customer; nobody: what is wanted there waits, with the reason."""

    database: Database
    policy: Policy
    roster: RosterOptions
    guard: GuardOptions
    remote_for: Callable[[str], Remote | NoRemote]
    adoption: Adoption = field(init=False)
    placing: Placing = field(init=False)

    def __post_init__(self) -> None:
        quiet = Quiet(self.roster.quiet, self.roster.longest)
        self.adoption = Adoption(self.policy, self.guard)
        self.placing = Placing(self.remote_for, SOURCE, quiet)

    def run_once(self) -> int:
        """Returns how many policies, events, agents and wants were worked on."""
        done = self._adopt()
        if self._something_to_do():
            done += sum(self._pages(step) for step in (self._plan_events, self._review, self._ask))
        return done

    def _adopt(self) -> int:
        with self.database.read() as session:
            if not self.adoption.is_called_for(session):
                return 0
            objection = self.adoption.objection(session)
        with self.database.write() as session:
            if not _has_turn(session) or not self.adoption.is_called_for(session):
                return 0
            adopted = self.adoption.settle(session, objection)
            _end_turn(session)
            return int(adopted is not None)

    def _something_to_do(self) -> bool:
        with self.database.read() as session:
            force = policies.in_force(session)
            return force is not None and planning.something_to_plan(session, force.id)

    def _pages(self, step: Step) -> int:
        done = 0
        for _ in range(MOST_PAGES):
            if not (worked := self._alone(step)):
                break
            done += worked
        return done

    def _alone(self, step: Step) -> int:
        """One page, in a transaction that has the turn."""
        with self.database.write() as session:
            force = policies.in_force(session) if _has_turn(session) else None
            if force is None:
                return 0
            worked = step(session, force)
            _end_turn(session)
            return worked

    def _plan_events(self, session: Session, force: InForce) -> int:
        return plan_events(session, force, self.placing)

    def _review(self, session: Session, force: InForce) -> int:
        some = planning.agents_to_review(session, force.id)
        weigh(session, force, some, {})
        return len(some)

    def _ask(self, session: Session, _: InForce) -> int:
        return ask(session, self.placing)


def _has_turn(session: Session) -> bool:
    cadences.make_known(session, [TURN])
    return cadences.take_turn(session, TURN, TURN_LASTS) is not None


def _end_turn(session: Session) -> None:
    cadences.set_next(session, TURN, timedelta(0))
