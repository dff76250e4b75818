"""The refresher asks for the quotas of the policy anew: at their pace, and when a new evaluation period has begun."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session

from schemas.ids import job_id
from schemas.jobs import QuotaRecalculation
from schemas.lanes import Lane
from schemas.names import customer_of
from worker.configuration.oversight import ReconcileOptions
from worker.configuration.remotes import NoRemote, Remote
from worker.core.acceptance import Offer
from worker.core.policy import quota_wish
from worker.intake.accept import canonical
from worker.store import batches, cadences, planning, policies
from worker.store.acceptance import Page, accept_page
from worker.store.batches import NewBatch
from worker.store.engine import Database, database_now
from worker.store.known import quota_history

SOURCE = "refresh"
TURN_LASTS = timedelta(seconds=30)
LOOK_AGAIN = timedelta(seconds=30)
PREFIX = "quota "


@dataclass(frozen=True, slots=True)
class Refresher:
    database: Database
    options: ReconcileOptions
    remote_for: Callable[[str], Remote | NoRemote]

    def run_once(self) -> int:
        """Returns the number of quotas that were asked for."""
        with self.database.read() as session:
            force = policies.in_force(session)
            wishes = {quota_wish(rule).resource: quota_wish(rule) for rule in force.policy.quotas} if force else {}
            due = self._due(session, wishes)
        return sum(self._ask(wishes[resource]) for resource in due)

    def _due(self, session: Session, wishes: dict[str, QuotaRecalculation]) -> list[str]:
        """Those that are due, and those that nobody has looked at yet."""
        known = cadences.known(session, [PREFIX + resource for resource in wishes])
        due = set(cadences.due(session, PREFIX))
        return [one for one in wishes if PREFIX + one in due or PREFIX + one not in known]

    def _ask(self, wish: QuotaRecalculation) -> bool:
        name, remote = PREFIX + wish.resource, self.remote_for(customer_of(wish.resource))
        with self.database.write() as session:
            cadences.make_known(session, [name])
            if cadences.take_turn(session, name, TURN_LASTS) is None:
                return False
            if isinstance(remote, NoRemote) or planning.open_jobs(session, [wish.resource]):
                cadences.postpone(session, name, LOOK_AGAIN)
                return False
            batch = batches.open_batch(session, NewBatch(SOURCE, Lane.BULK, "the pace of the reconciliation"))
            offer = Offer(job_id(batch.id, 1), 1, wish, canonical(wish))
            accept_page(session, Page(batch.id, Lane.BULK, [offer]), lambda _: remote.name)
            batches.seal(session, batch.id)
            self._set_next(session, name, wish)
        return True

    def _set_next(self, session: Session, name: str, wish: QuotaRecalculation) -> None:
        """Sooner where the last two answers differ, or where the period that they are about ends."""
        every = min(self.options.every, self.options.usecases.get(wish.usecase_name or "", self.options.every))
        last = quota_history(session, limit=2, resource=wish.resource)
        steady = len({answer.total_agent_quota for answer in last}) <= 1
        pause = cadences.slower(session, name, every, self.options.at_most) if steady else every
        ends = last[0].period_end if last else None
        cadences.set_next(session, name, pause, due_at=ends if ends and ends > database_now(session) else None)
