"""What ``accept`` would do with the same rows now: its pages and its decisions, and nothing is written.

Nothing is locked either, so what a worker does meanwhile may be missed. What one page would leave behind the next one
has to meet, as in the store: of each target that would move a few numbers are kept in memory.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from sqlmodel import Session

from worker.configuration.remotes import NoRemote, Remote
from worker.core.acceptance import Acceptance, Earlier, Fate, Standing, plan_acceptance
from worker.intake.accept import Door, KeyConflict, Offered, Receipt, RowFate, Unreadable, walk
from worker.store import batches
from worker.store.acceptance import Page, earlier_keys
from worker.store.batches import NewBatch
from worker.store.engine import Database, database_now
from worker.store.foresight import foresee
from worker.store.models import Batch

NO_BATCH = 0


def rehearse(  # noqa: PLR0913 - it takes what ``accept`` takes
    database: Database,
    rows: Iterable[Offered | Unreadable],
    new: NewBatch,
    remote_for: Callable[[str], Remote | NoRemote],
    *,
    forced: bool = False,
    on_page: Callable[[list[RowFate]], None] = lambda _: None,
) -> Receipt:
    """The receipt that ``accept`` would give; its batch is ``NO_BATCH`` unless the key has one. Raises as it does."""

    def opened() -> Door:
        with database.read() as session:
            found = batches.find(session, new.key)
        batch = found or Batch(id=NO_BATCH, key=new.key, source=new.source, label=new.label, lane=new.lane)
        return _Rehearsal(database, batch, remote_for, forced=forced, found=found is not None)

    return walk(rows, opened, on_page)


@dataclass(slots=True)
class _Rehearsal(Door):
    _moved: dict[str, Standing] = field(default_factory=dict)
    _keys: dict[str, Earlier] = field(default_factory=dict)

    def _transaction(self) -> AbstractContextManager[Session]:
        return self.database.read()

    def _enter(self, session: Session, page: Page, last_row: int) -> Acceptance:
        if self.found:
            batch = session.get_one(Batch, self.batch.id)
            if batch.sealed_at and not batch.abandoned:
                raise KeyConflict(self._other_length(batch.rows, f"at least {last_row:,}"))
        standings = self._standings(session, page)
        earlier = earlier_keys(session, page.offers) | self._keys
        plan = plan_acceptance(page.offers, standings, earlier, database_now(session), forced=page.forced)
        self._remember(plan, standings)
        return plan

    def _seal(self, session: Session) -> int:
        return self.new + (session.get_one(Batch, self.batch.id).rows if self.found else 0)

    def _standings(self, session: Session, page: Page) -> dict[str, Standing]:
        there = foresee(session, page.offers).standings
        return {
            name: replace(self._moved[name], known=one.known) if name in self._moved else one
            for name, one in there.items()
        }

    def _remember(self, plan: Acceptance, before: dict[str, Standing]) -> None:
        for name, standing in plan.standings.items():
            if standing is not before.get(name):
                self._moved[name] = replace(standing, known=None)
        for accepted in plan.accepted:
            key = accepted.offer.wish.request_key
            if key and accepted.fate is not Fate.REPEATED:
                self._keys[key] = Earlier(accepted.offer.id, accepted.offer.wish_text)
