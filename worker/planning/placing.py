"""The policy's wishes become jobs, through the door that all wishes come in by."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlmodel import Session

from schemas.ids import job_id
from schemas.jobs import Wish
from schemas.lanes import Lane
from schemas.names import customer_of
from worker.configuration.remotes import NoRemote, Remote
from worker.core.acceptance import Fate, Offer, Quiet
from worker.intake.accept import canonical
from worker.store import batches
from worker.store.acceptance import Page, accept_page
from worker.store.batches import NewBatch


@dataclass(frozen=True, slots=True)
class Placed:
    """The job of each resource; or why there is none: nobody serves it, or the door has refused the wish."""

    jobs: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placing:
    """``source`` is what its batches are opened as, ``quiet`` how long a storm rests before it is a job."""

    remote_for: Callable[[str], Remote | NoRemote]
    source: str
    quiet: Quiet | None = None

    def place(self, session: Session, wishes: Iterable[Wish], label: str) -> Placed:
        """All of them in one batch; nothing is written where nobody is there to be asked."""
        placed, served = Placed(), list[Wish]()
        for wish in wishes:
            if message := self.unserved(wish.resource):
                placed.refused[wish.resource] = message
            else:
                served.append(wish)
        if served:
            self._accept(session, served, label, placed)
        return placed

    def unserved(self, resource: str) -> str | None:
        """Why nobody serves it, or None."""
        remote = self.remote_for(customer_of(resource))
        return remote.message if isinstance(remote, NoRemote) else None

    def _accept(self, session: Session, wishes: list[Wish], label: str, placed: Placed) -> None:
        batch = batches.open_batch(session, NewBatch(self.source, Lane.BULK, label))
        offers = [Offer(job_id(batch.id, row), row, wish, canonical(wish)) for row, wish in enumerate(wishes, start=1)]
        plan = accept_page(session, Page(batch.id, Lane.BULK, offers, quiet=self.quiet), self._remote_name)
        batches.seal(session, batch.id)
        for accepted in plan.accepted:
            assert accepted.fate is not Fate.REPEATED  # noqa: S101 - these wishes have no request keys
            placed.jobs[accepted.offer.wish.resource] = accepted.offer.id
        for refusal in plan.refused:
            placed.refused[refusal.offer.wish.resource] = f"{refusal.field} {refusal.reason}"

    def _remote_name(self, resource: str) -> str:
        remote = self.remote_for(customer_of(resource))
        assert isinstance(remote, Remote)  # noqa: S101 - others were left out before
        return remote.name
