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

SOURCE = "policy"
TURN = "planner"
TURN_LASTS = timedelta(seconds=30)
MOST_PAGES = 20

Step = Callable[[Session], int]


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
        return self._alone(lambda session: self._settle(session, objection))

    def _settle(self, session: Session, objection: str | None) -> int:
        """Unless somebody else has done so meanwhile."""
        return int(self.adoption.is_called_for(session) and self.adoption.settle(session, objection))

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
            cadences.make_known(session, [TURN])
            if cadences.take_turn(session, TURN, TURN_LASTS) is None:
                return 0
            worked = step(session)
            cadences.set_next(session, TURN, timedelta(0))
            return worked

    def _plan_events(self, session: Session) -> int:
        force = policies.in_force(session)
        return plan_events(session, force, self.placing) if force else 0

    def _review(self, session: Session) -> int:
        force = policies.in_force(session)
        some = planning.agents_to_review(session, force.id) if force else []
        if force:
            weigh(session, force, some, {})
        return len(some)

    def _ask(self, session: Session) -> int:
        return ask(session, self.placing)
