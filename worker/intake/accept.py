"""The only way in: rows of wishes become jobs, page by page, under one batch.

A batch with a key can be offered again, after a crash of the shell say: rows that were accepted are compared, the rest
is accepted, and the receipt is the same. Other content under the same key is a ``KeyConflict``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TypeVar

from sqlmodel import Session

from schemas.ids import MAX_ROWS, job_id
from schemas.jobs import Wish
from schemas.names import customer_of
from worker.configuration.remotes import NoRemote, Remote
from worker.core.acceptance import Acceptance, Fate, Offer, Seen
from worker.counts import counted
from worker.intake.patience import patiently
from worker.store import batches, replays
from worker.store.acceptance import Page, Rejected, accept_page
from worker.store.batches import NewBatch
from worker.store.engine import Database
from worker.store.models import Batch
from worker.tracing.spans import Kind, span

PAGE = 1_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Offered:
    """A row that was read as a wish. ``row`` counts from 1, ``line`` is where it stands in its source.

    ``seen``: it comes of a plan, which saw this. ``traceparent``: where it came in a span of its own.
    """

    row: int
    line: int
    wish: Wish
    seen: Seen | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that was not; it is counted and kept with its reason."""

    row: int
    line: int
    field: str
    reason: str
    value: str


@dataclass(frozen=True, slots=True)
class RowFate:
    """What became of one row: ``job_id`` where it was accepted, ``field`` and ``reason`` where it was refused."""

    row: int
    line: int
    fate: Fate
    job_id: int | None = None
    field: str | None = None
    reason: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Committed. ``fates`` counts rows; ``replayed``: the batch was there by its key and nothing new was written.

    ``row_fates`` holds each row's fate and job id, where the caller asked for them.
    """

    batch_id: int
    rows: int
    accepted: int
    rejected: int
    fates: Counter[Fate] = field(default_factory=Counter)
    replayed: bool = False
    row_fates: tuple[RowFate, ...] = ()


class KeyConflict(Exception):  # noqa: N818 - the glossary's word
    """The batch's key was used before, with other content; the message names the first difference."""


def accept(  # noqa: PLR0913 - the one way in takes all that a door may say
    database: Database,
    rows: Iterable[Offered | Unreadable],
    new: NewBatch,
    remote_for: Callable[[str], Remote | NoRemote],
    *,
    forced: bool = False,
    on_page: Callable[[list[RowFate]], None] = lambda _: None,
) -> Receipt:
    """Accept all rows; when this returns, everything accepted is committed.

    ``on_page`` is told each page's fates after its commit. Raises ``KeyConflict``, or the database's error where it
    stays away; pages committed before then stay accepted, and the same call with the same key goes on from there.
    """

    def opened() -> Door:
        with database.write() as session:
            found = batches.find(session, new.key)
            batch = found or batches.open_batch(session, new)
        return Door(
            database, batch, remote_for, forced=forced, found=found is not None, traceparent=accepting.traceparent
        )

    with span("accept", kind=Kind.PRODUCER, source=new.source, lane=new.lane) as accepting:
        receipt = walk(rows, opened, on_page)
        accepting.tell(batch=receipt.batch_id, accepted=receipt.accepted, rejected=receipt.rejected)
        return receipt


def accept_within(  # noqa: PLR0913 - as above
    session: Session,
    database: Database,
    rows: list[Offered | Unreadable],
    new: NewBatch,
    remote_for: Callable[[str], Remote | NoRemote],
    *,
    forced: bool = False,
) -> tuple[int, list[RowFate]]:
    """A few rows as one whole batch, in the caller's transaction. Returns the batch's id, and each row's fate."""
    door = Door(database, batches.open_batch(session, new), remote_for, forced=forced, found=False)
    return door.batch.id, door.take_whole(session, rows)


def walk(
    rows: Iterable[Offered | Unreadable], opened: Callable[[], "Door"], on_page: Callable[[list[RowFate]], None]
) -> Receipt:
    pages = _pages(rows)
    first = next(pages, [])  # a source that cannot be read at all refuses here, before anything is written
    door = patiently(opened)
    for page in chain([first], pages) if first else ():
        on_page(door.take(page))
    return patiently(door.close)


@dataclass(slots=True)
class Door:
    """Of one batch. What it decides by and what it leaves behind is ``_transaction``, ``_enter`` and ``_seal``."""

    database: Database
    batch: Batch
    remote_for: Callable[[str], Remote | NoRemote]
    forced: bool
    found: bool
    traceparent: str | None = None
    fates: Counter[Fate] = field(default_factory=Counter)
    rows: int = 0
    new: int = 0

    def take(self, page: list[Offered | Unreadable]) -> list[RowFate]:
        fates, new = patiently(lambda: self._take_once(page))
        self.rows += len(page)
        self.new += new
        self.fates += Counter(fate.fate for fate in fates)
        return fates

    def take_whole(self, session: Session, rows: list[Offered | Unreadable]) -> list[RowFate]:
        """All the rows that the batch will ever have."""
        page = self._page(rows)
        plan = accept_page(session, page, self._remote_name)
        batches.seal(session, self.batch.id)
        return sorted([*_fates(plan), *map(_refused, page.rejected)], key=lambda fate: fate.row)

    def close(self) -> Receipt:
        with self._transaction() as session:
            if (had := self._seal(session)) != self.rows:
                raise KeyConflict(self._other_length(had, f"{self.rows:,}"))
        rejected = sum(count for fate, count in self.fates.items() if not fate.accepted)
        replayed = self.found and not self.new
        return Receipt(self.batch.id, self.rows, self.rows - rejected, rejected, self.fates, replayed=replayed)

    def _transaction(self) -> AbstractContextManager[Session]:
        return self.database.write()

    def _enter(self, session: Session, page: Page, last_row: int) -> Acceptance:
        plan = accept_page(session, page, self._remote_name)
        if not batches.unseal_abandoned(session, self.batch.id):  # asked once the page is counted: its row is locked
            batch = session.get_one(Batch, self.batch.id, populate_existing=True)
            had = batch.rows - len(page.offers) - len(page.rejected)
            raise KeyConflict(self._other_length(had, f"at least {last_row:,}"))
        return plan

    def _seal(self, session: Session) -> int:
        """How many rows it has now."""
        batches.seal(session, self.batch.id)
        return session.get_one(Batch, self.batch.id, populate_existing=True).rows

    def _take_once(self, page: list[Offered | Unreadable]) -> tuple[list[RowFate], int]:
        ids = [job_id(self.batch.id, row.row) for row in page]
        with self._transaction() as session:
            earlier = replays.find(session, ids)
            repeated = [self._compare(row, earlier[job]) for row, job in zip(page, ids, strict=True) if job in earlier]
            fresh = [row for row, job in zip(page, ids, strict=True) if job not in earlier]
            accepted = self._accept(session, fresh) if fresh else []
        return sorted([*repeated, *accepted], key=lambda fate: fate.row), len(fresh)

    def _accept(self, session: Session, fresh: list[Offered | Unreadable]) -> list[RowFate]:
        page = self._page(fresh)
        plan = self._enter(session, page, fresh[-1].row)
        return [*_fates(plan), *(_refused(one) for one in page.rejected)]

    def _page(self, rows: list[Offered | Unreadable]) -> Page:
        offers, rejected = [], []
        for row in rows:
            job = job_id(self.batch.id, row.row)
            match row:
                case Unreadable():
                    rejected.append(Rejected(job, row.line, row.field, row.reason, row.value))
                case Offered(wish=wish) if isinstance(remote := self.remote_for(customer_of(wish.resource)), NoRemote):
                    rejected.append(Rejected(job, row.line, "name", remote.message, wish.resource))
                case Offered(wish=wish):
                    offers.append(
                        Offer(job, row.line, wish, canonical(wish), row.seen, row.traceparent or self.traceparent)
                    )
        return Page(self.batch.id, self.batch.lane, offers, rejected, forced=self.forced)

    def _remote_name(self, resource: str) -> str:
        remote = self.remote_for(customer_of(resource))
        assert isinstance(remote, Remote)  # noqa: S101 - others were set aside in _page
        return remote.name

    def _compare(self, row: Offered | Unreadable, earlier: replays.Earlier) -> RowFate:
        difference = replays.difference(earlier, canonical(row.wish) if isinstance(row, Offered) else None)
        if difference:
            raise KeyConflict(f"the key {self.batch.key!r} was used for batch {self.batch.id} with other content: "
                              f"row {row.row}: {difference}")  # fmt: skip
        return RowFate(row.row, row.line, earlier.fate, earlier.job_id, earlier.field, earlier.reason, earlier.value)

    def _other_length(self, had: int, has: str) -> str:
        used = f"the key {self.batch.key!r} was used for batch {self.batch.id}"
        return f"{used}, which has {counted(had, 'row')}; this has {has}"


def canonical(wish: Wish) -> str:
    """The wish as it is kept and compared: JSON in camelCase, without what is kept beside it."""
    return wish.model_dump_json(by_alias=True, exclude_none=True, exclude={"request_key"})


def _fates(plan: Acceptance) -> Iterator[RowFate]:
    for accepted in plan.accepted:
        offer = accepted.offer
        job = accepted.by if accepted.fate is Fate.REPEATED else offer.id
        yield RowFate(offer.id & MAX_ROWS, offer.line, accepted.fate, job)
    for refusal in plan.refused:
        offer = refusal.offer
        one = Rejected(offer.id, offer.line, refusal.field, refusal.reason, refusal.value)
        yield replace(_refused(one), fate=refusal.fate)


def _refused(one: Rejected) -> RowFate:
    return RowFate(one.id & MAX_ROWS, one.line, Fate.REFUSED, None, one.field, one.reason, one.value)


def _pages(rows: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(rows)
    while page := list(islice(iterator, PAGE)):
        yield page
