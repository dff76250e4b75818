"""A batch with a key can be offered again, after a crash or at the same time: one batch, one receipt, or a conflict."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import psycopg
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from schemas.jobs import JobState, Wish
from schemas.lanes import Lane
from tests.integration.store_rig import (
    applied,
    assert_adds_up,
    batch,
    offer,
    remote_for,
    rows_of,
    settle,
    take,
    wish,
    write,
)
from worker.core.acceptance import Fate
from worker.intake.accept import PAGE, KeyConflict, Offered, Receipt, RowFate, Unreadable, accept
from worker.store.batches import ABANDONED_AFTER, NewBatch, seal_abandoned
from worker.store.engine import Database
from worker.store.tables import batches, jobs

FILE: list[Wish | None] = [
    wish(1, 10),
    wish(2, 10),
    None,
    wish(1, 20),
    wish(3, 10, request_key="k-1"),
    wish(3, 10, request_key="k-1"),
    wish(4, 10),
    wish(5, 10, coaching_plan_name=""),
]
LONG: list[Wish | None] = [None] * PAGE + FILE  # the wishes come on the second page


def test_the_same_key_and_content_give_the_same_receipt_and_fates_whatever_has_happened_since(store: Database) -> None:
    settle(store, wish(4, 10), wish(5, 20))
    fates: list[RowFate] = []
    first = offer(store, *FILE, key="nightly", fates=fates)
    kinds = [Fate.SUPERSEDED, Fate.QUEUED, Fate.REFUSED, Fate.QUEUED, Fate.QUEUED, Fate.REPEATED, Fate.UNCHANGED]
    assert [one.fate for one in fates] == [*kinds, Fate.REFUSED]
    write(store, *map(applied, take(store, *(one.job_id for one in fates if one.job_id))))
    offer(store, wish(2, 70), wish(2, 80), wish(4, 70))
    again: list[RowFate] = []
    assert offer(store, *FILE, key="nightly", fates=again) == replace(first, replayed=True)
    assert again == fates
    assert_adds_up(store)


def test_a_job_superseded_later_in_the_very_instant_of_its_acceptance_was_still_queued(store: Database) -> None:
    fates: list[RowFate] = []
    offer(store, wish(1, 10), key="a", fates=fates)
    offer(store, wish(1, 20))
    with store.write() as session:
        session.execute(update(jobs).values(finished_at=jobs.c.created_at))
    again: list[RowFate] = []
    offer(store, wish(1, 10), key="a", fates=again)
    assert again == fates


def test_a_file_that_was_cut_short_by_a_crash_is_completed_by_the_same_call(store: Database) -> None:
    with pytest.raises(KeyboardInterrupt):
        offer_rows(store, crashing_after(rows_of(LONG), PAGE + 1), key="nightly")
    assert (batch(store, 1).rows, batch(store, 1).sealed_at) == (PAGE, None)
    receipt = offer(store, *LONG, key="nightly")
    assert (receipt.batch_id, receipt.rows, receipt.replayed) == (1, len(LONG), False)
    assert batch(store, 1).rows == len(LONG)
    assert_adds_up(store)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ([wish(1, 10), wish(2, 20)], "row 2: target was 10.0, now 20.0"),
        ([wish(1, 10), wish(3, 10)], "row 2: name was customers/acme/profiles/main/targets/t-2, now "),
        ([wish(1, 10), wish(2, 10, qa_score=5)], "row 2: qaScore was absent, now 5.0"),
        ([wish(1, 10), None], "row 2: was a wish then, cannot be read now"),
        ([wish(1, 10)], "has 2 rows; this has 1"),
        ([], "has 2 rows; this has 0"),
        ([wish(1, 10), wish(2, 10), wish(3, 10)], "has 2 rows; this has at least 3"),
    ],
)
def test_the_same_key_with_other_content_is_a_conflict_that_names_the_difference_and_changes_nothing(
    store: Database, other: Sequence[Wish | None], message: str
) -> None:
    offer(store, wish(1, 10), wish(2, 10), key="nightly")
    with pytest.raises(KeyConflict) as conflict:
        offer(store, *other, key="nightly")
    assert message in str(conflict.value)
    assert "'nightly'" in str(conflict.value)
    assert how_many_jobs(store) == 2
    assert_adds_up(store)


def test_of_a_page_with_a_conflict_nothing_is_accepted(store: Database) -> None:
    """The rows of a page come with it: also those that the first call never reached."""
    with pytest.raises(KeyboardInterrupt):
        offer_rows(store, crashing_after(rows_of([*[None] * (PAGE - 1), wish(1, 10)]), PAGE), key="nightly")
    with pytest.raises(KeyConflict, match=r"row 1000: target was 10\.0, now 20\.0"):
        offer(store, *[None] * (PAGE - 1), wish(1, 20), wish(2, 20), key="nightly")
    assert how_many_jobs(store) == 1


def test_two_offers_of_one_key_at_the_same_time_are_one_batch(store: Database) -> None:
    others = [Database(store.url) for _ in range(3)]
    start = Barrier(len(others))

    def offer_from(database: Database) -> tuple[Receipt, list[RowFate]]:
        fates: list[RowFate] = []
        start.wait(timeout=90)
        return offer(database, *LONG, key="nightly", fates=fates), fates

    with ThreadPoolExecutor(len(others)) as pool:
        results = list(pool.map(offer_from, others))
    for database in others:
        database.close()
    receipts, fates = [result[0] for result in results], [result[1] for result in results]
    assert fates[0] == fates[1] == fates[2]
    assert all(replace(one, replayed=False) == replace(receipts[0], replayed=False) for one in receipts)
    assert batch(store, receipts[0].batch_id).rows == len(LONG)
    assert_adds_up(store)


def test_an_offer_that_is_overtaken_between_two_pages_by_the_same_finds_its_rows_accepted(store: Database) -> None:
    overtaken: list[Receipt] = []

    def overtake(_: list[RowFate]) -> None:
        if not overtaken:
            overtaken.append(offer(store, *LONG, key="nightly"))

    receipt = accept(store, rows_of(LONG), NewBatch("test", Lane.BULK, key="nightly"), remote_for, on_page=overtake)
    assert receipt == overtaken[0]
    assert_adds_up(store)


def test_an_offer_with_fewer_rows_than_one_under_way_is_told_so_and_seals_nothing(store: Database) -> None:
    turned_away: list[str] = []

    def overtake(_: list[RowFate]) -> None:
        with pytest.raises(KeyConflict) as conflict:
            offer(store, None, None, key="nightly")
        turned_away.append(str(conflict.value))

    accept(store, rows_of(LONG), NewBatch("test", Lane.BULK, key="nightly"), remote_for, on_page=overtake)
    assert [told.partition("which ")[2] for told in turned_away] == [
        "has 1,000 rows; this has 2",
        "has 1,008 rows; this has 2",
    ]
    assert_adds_up(store)


def test_a_batch_whose_producer_is_gone_is_sealed_and_completes_with_what_was_accepted_of_it(store: Database) -> None:
    half_a_file(store)
    with store.write() as session:
        assert seal_abandoned(session) == []
    fall_silent(store)
    with store.write() as session:
        assert seal_abandoned(session) == [1]
        assert seal_abandoned(session) == []
    assert batch(store, 1).abandoned
    finish_all(store)
    assert batch(store, 1).completed_at is not None
    assert_adds_up(store)


def test_a_producer_that_comes_back_to_an_abandoned_batch_goes_on_where_it_was(store: Database) -> None:
    half_a_file(store)
    abandon(store)
    finish_all(store)
    receipt = offer(store, wish(0), *LONG, key="nightly")
    assert (receipt.batch_id, receipt.rows, receipt.replayed) == (1, len(LONG) + 1, False)
    assert (batch(store, 1).abandoned, batch(store, 1).completed_at) == (False, None)
    assert_adds_up(store)


def test_a_producer_that_comes_back_with_nothing_more_does_not_complete_its_batch_twice(
    store: Database,
) -> None:
    offer(store, wish(1), key="nightly")
    with store.write() as session:
        session.execute(update(batches).values(abandoned=True))
    finish_all(store)
    completed_at = batch(store, 1).completed_at
    assert offer(store, wish(1), key="nightly").replayed
    assert (batch(store, 1).completed_at, batch(store, 1).abandoned) == (completed_at, False)


def test_a_producer_that_was_slower_than_our_patience_is_not_turned_away(store: Database) -> None:
    """No key, and still at work: its batch was taken for abandoned between two pages."""

    def give_up_on_it(_: list[RowFate]) -> None:
        if not batch(store, 1).sealed_at:
            abandon(store)

    new = NewBatch("test", Lane.BULK)
    receipt = accept(store, rows_of(LONG), new, remote_for, on_page=give_up_on_it)
    assert (receipt.rows, batch(store, 1).rows, batch(store, 1).abandoned) == (len(LONG), len(LONG), False)
    finish_all(store)
    assert_adds_up(store)


def test_a_page_whose_commit_arrived_and_whose_answer_did_not_is_not_accepted_twice(store: Database) -> None:
    forgetful = LosesAnswers(store.url)
    for loses in range(1, 4):  # the answer to the opening, to the page, to the sealing
        forgetful.loses = loses
        receipt = offer(forgetful, wish(loses), None)
        assert (receipt.rows, receipt.accepted, receipt.rejected) == (2, 1, 1)
        assert batch(store, receipt.batch_id).rows == 2
    forgetful.close()
    assert how_many_jobs(store) == 3


class LosesAnswers(Database):
    """The commit arrives, the connection ends: of the next transactions it is the ``loses``-th."""

    loses = 0

    @contextmanager
    def write(self) -> Iterator[Session]:
        with super().write() as session:
            yield session
        self.loses -= 1
        if self.loses == 0:
            raise OperationalError("COMMIT", {}, psycopg.OperationalError("server closed the connection"))


def offer_rows(store: Database, rows: Iterator[Offered | Unreadable], key: str) -> Receipt:
    return accept(store, rows, NewBatch("test", Lane.BULK, key=key), remote_for)


def crashing_after(rows: Sequence[Offered | Unreadable], count: int) -> Iterator[Offered | Unreadable]:
    yield from rows[:count]
    raise KeyboardInterrupt


def half_a_file(store: Database) -> None:
    """A first page with one wish is committed, then the producer is gone."""
    with pytest.raises(KeyboardInterrupt):
        offer_rows(store, crashing_after(rows_of([wish(0), *LONG]), PAGE + 1), key="nightly")


def fall_silent(store: Database) -> None:
    long_ago = datetime.now(UTC) - ABANDONED_AFTER - timedelta(minutes=1)  # noqa: TID251 - a state that time leaves
    with store.write() as session:
        session.execute(update(batches).values(touched_at=long_ago))


def abandon(store: Database) -> None:
    fall_silent(store)
    with store.write() as session:
        seal_abandoned(session)


def finish_all(store: Database) -> None:
    with store.read() as session:
        ids = session.execute(select(jobs.c.id).where(jobs.c.state == JobState.PENDING)).scalars().all()
    write(store, *map(applied, take(store, *ids)))


def how_many_jobs(store: Database) -> int:
    with store.read() as session:
        return len(session.execute(select(jobs.c.id)).all())
