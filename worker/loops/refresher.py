"""The refresher asks for the quotas of the policy anew: at their pace, and when an evaluation period is over."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from schemas.jobs import QuotaRecalculation
from worker.configuration.oversight import ReconcileOptions
from worker.configuration.remotes import NoRemote, Remote
from worker.core.policy import quota_wish
from worker.core.refresh import LastAnswer, Pace, due_at
from worker.planning.placing import Placing
from worker.store import cadences, policies
from worker.store.engine import Database, database_now
from worker.store.known import CurrentQuota, answers_of
from worker.store.refreshing import LastAsked, last_asked

SOURCE = "refresh"
TURN = "refresher"
TURN_LASTS = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Refresher:
    """What is due follows from the answers and from what was asked: nothing is to be kept beside them."""

    database: Database
    options: ReconcileOptions
    remote_for: Callable[[str], Remote | NoRemote]

    def run_once(self) -> int:
        """Returns the number of quotas that were asked for."""
        with self.database.read() as session:
            if not self._due(session):
                return 0
        with self.database.write() as session:
            cadences.make_known(session, [TURN])
            if cadences.take_turn(session, TURN, TURN_LASTS) is None:
                return 0
            placed = Placing(self.remote_for, SOURCE).place(session, self._due(session), "quotas that are due")
            cadences.set_next(session, TURN, timedelta(0))
            return len(placed.jobs)

    def _due(self, session: Session) -> list[QuotaRecalculation]:
        """Of the policy in force; what nobody serves waits until somebody does."""
        force = policies.in_force(session)
        wishes = {wish.resource: wish for wish in map(quota_wish, force.policy.quotas if force else ())}
        served = {name: wish for name, wish in wishes.items() if not Placing(self.remote_for, SOURCE).unserved(name)}
        answers, asked = answers_of(session, served), last_asked(session, served)
        now = database_now(session)
        return [wish for name, wish in served.items() if self._is_due(wish, answers.get(name), asked.get(name), now)]

    def _is_due(
        self, wish: QuotaRecalculation, answer: CurrentQuota | None, asked: LastAsked | None, now: datetime
    ) -> bool:
        if asked and asked.open:
            return False
        pace = Pace(self.options.usecases.get(wish.usecase_name or "", self.options.every), self.options.at_most)
        due = due_at(_last(answer), asked.at if asked else None, pace)
        return due is None or due <= now


def _last(current: CurrentQuota | None) -> LastAnswer | None:
    if current is None:
        return None
    return LastAnswer(current.answer.answered_at, current.changed_at, current.answer.period_end)
