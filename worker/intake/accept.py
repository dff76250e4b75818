"""The only way in: rows of wishes become jobs, page by page, under one batch.

A batch with a key can be offered again, after a crash of the shell say: rows that were accepted are compared, the rest
is accepted, and the receipt is the same. Other content under the same key is a ``KeyConflict``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError

from schemas.ids import MAX_ROWS, job_id
from schemas.jobs import Wish
from schemas.names import customer_of
from worker.core.acceptance import Acceptance, Fate, Offer
from worker.remotes import NoRemote, Remote
from worker.store import batches, replays
from worker.store.acceptance import Page, Rejected, accept_page
from worker.store.batches import NewBatch
from worker.store.engine import Database, is_passing
from worker.store.models import Batch

PAGE = 1_000
TRIES = 5
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Offered:
    """A row that was read as a wish. ``row`` counts from 1, ``line`` is where it stands in its source."""

    row: int
    line: int
    wish: Wish


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
    """Committed. ``fates`` counts rows; ``replayed`` says that the key had been used and nothing new was written.

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
    with database.write() as session:
        batch = batches.open_batch(session, new)
        batches.unseal_abandoned(session, batch.id)
    door = _Door(database, batch, remote_for, forced=forced)
    for page in _pages(rows):
        on_page(door.take(page))
    return door.close()


@dataclass(slots=True)
class _Door:
    database: Database
    batch: Batch
    remote_for: Callable[[str], Remote | NoRemote]
    forced: bool
    fates: Counter[Fate] = field(default_factory=Counter)
    rows: int = 0
    new: int = 0

    def take(self, page: list[Offered | Unreadable]) -> list[RowFate]:
        for tries in range(TRIES):
            try:
                fates = self._take_once(page)
                break
            except IntegrityError:  # another process offers the same key, or our commit arrived and its answer did not
                if tries + 1 == TRIES:
                    raise
            except DBAPIError as error:
                if tries + 1 == TRIES or not is_passing(error):
                    raise
        self.rows += len(page)
        self.fates += Counter(fate.fate for fate in fates)
        return fates

    def close(self) -> Receipt:
        with self.database.write() as session:
            batch = session.get_one(Batch, self.batch.id, populate_existing=True)
            if batch.rows != self.rows:
                raise KeyConflict(_other_length(batch, self.rows))
            batches.seal(session, batch.id)
        rejected = self.fates[Fate.REFUSED]
        return Receipt(batch.id, self.rows, self.rows - rejected, rejected, self.fates, replayed=self.new == 0)

    def _take_once(self, page: list[Offered | Unreadable]) -> list[RowFate]:
        ids = [job_id(self.batch.id, row.row) for row in page]
        with self.database.write() as session:
            earlier = replays.find(session, ids) if self.batch.key else {}
            fresh = [row for row, job in zip(page, ids, strict=True) if job not in earlier]
            if fresh and session.get_one(Batch, self.batch.id).sealed_at:
                raise KeyConflict(_other_length(self.batch, fresh[-1].row))
            plan = accept_page(session, self._page(fresh), self._remote_name) if fresh else Acceptance()
        repeated = [self._compare(row, earlier[job]) for row, job in zip(page, ids, strict=True) if job in earlier]
        self.new += len(fresh)
        return sorted([*repeated, *_fates(plan, fresh)], key=lambda fate: fate.row)

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
                    offers.append(Offer(job, row.line, wish, canonical(wish)))
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


def canonical(wish: Wish) -> str:
    """The wish as it is kept and compared: JSON in camelCase, without what is kept beside it."""
    return wish.model_dump_json(by_alias=True, exclude_none=True, exclude={"request_key"})


def _fates(plan: Acceptance, rows: list[Offered | Unreadable]) -> Iterator[RowFate]:
    lines = {row.row: row.line for row in rows}
    for accepted in plan.accepted:
        row = accepted.offer.id & MAX_ROWS
        job = accepted.by if accepted.fate is Fate.REPEATED else accepted.offer.id
        yield RowFate(row, lines[row], accepted.fate, job)
    for refusal in plan.refused:
        row = refusal.offer.id & MAX_ROWS
        yield RowFate(row, lines[row], Fate.REFUSED, None, refusal.field, refusal.reason, refusal.value)


def _other_length(batch: Batch, rows: int) -> str:
    was = f"the key {batch.key!r} was used for batch {batch.id}, which has {batch.rows:,} rows"
    return f"{was}; this has {'at least ' if rows > batch.rows else ''}{rows:,}"


def _pages(rows: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(rows)
    while page := list(islice(iterator, PAGE)):
        yield page
