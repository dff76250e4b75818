"""Everything at once on the same few resources: no deadlock but those that callers retry, and all adds up."""

import itertools
import random  # noqa: TID251 - seeded: which step comes next
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from schemas.jobs import JobState
from schemas.lanes import Lane
from tests.integration.store_rig import (
    WORKER,
    applied,
    assert_adds_up,
    given_back,
    lose_lease,
    offer,
    tried,
    wish,
)
from worker.core.decisions import Fail, Retry
from worker.store import quarantine
from worker.store.batches import seal_abandoned
from worker.store.claims import Claimed, Lease, claim, rescue
from worker.store.dispatching import take_due, unpublish_all
from worker.store.engine import Database, database_now, is_passing
from worker.store.records import Record, record
from worker.store.repairs import repair
from worker.store.tables import jobs

SECONDS = 2.5
THREADS = 4
TARGETS = 12


class Hammer:
    """One thread's steps. ``passing`` are the errors that a caller would have to try again for."""

    def __init__(self, store: Database, seed: int) -> None:
        self.store = store
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.owners = (f"m-{seed}-{number}" for number in itertools.count())
        self.passing: list[str] = []
        self.steps = 0

    def run(self) -> "Hammer":
        end = time.monotonic() + SECONDS
        choices: list[tuple[Callable[[], object], int]] = [
            (self.accept, 4), (self.work, 8), (self.rescue, 2), (self.dispatch, 2), (self.release, 1),
        ]  # fmt: skip
        steps, weights = [step for step, _ in choices], [weight for _, weight in choices]
        while time.monotonic() < end:
            (step,) = self.random.choices(steps, weights)
            self.steps += 1
            try:
                step()
            except DBAPIError as error:
                if not is_passing(error):
                    raise
                self.passing.append(f"{step.__name__}: {error.orig}")
        return self

    def accept(self) -> None:
        some = self.random.sample(range(TARGETS), 5)
        offer(self.store, *(wish(target, self.random.randrange(4) * 10) for target in some))

    def work(self) -> None:
        with self.store.read() as session:
            ids = session.execute(select(jobs.c.id).where(jobs.c.state == JobState.PENDING)).scalars().all()
        ids = self.random.sample(ids, min(6, len(ids)))
        with self.store.write() as session:
            claimed = claim(session, ids, Lease(next(self.owners), timedelta(seconds=30)), database_now(session))
        if self.random.random() < 0.2:
            lose_lease(self.store, *(one.id for one in claimed))
        records = [self.end(one) for one in claimed]
        with self.store.write() as session:
            repair(session, record(session, records, WORKER))

    def end(self, job: Claimed) -> Record:
        retry = Retry(timedelta(0), failure=False)
        doubt = Retry(timedelta(0), failure=True, read_first=True)
        return self.random.choice(
            [applied(job), given_back(job), tried(job, retry), tried(job, doubt), tried(job, Fail("no", "no"))]
        )

    def rescue(self) -> None:
        with self.store.write() as session:
            rescue(session)
        with self.store.write() as session:
            seal_abandoned(session)

    def dispatch(self) -> None:
        with self.store.write() as session:
            take_due(session, "default", Lane.BULK, 8)
        with self.store.write() as session:
            unpublish_all(session)

    def release(self) -> None:
        with self.store.write() as session:
            quarantine.put_aside(session, "default", "down")
            quarantine.release(session, "default")


def deadlocks(store: Database) -> int:
    store.close()  # a backend tells its statistics at its end
    with store.read() as session:
        counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(session.execute(text(counted)).scalar_one())


@pytest.mark.postgres
def test_everything_at_once_never_deadlocks_and_adds_up(postgres_store: Database) -> None:
    before = deadlocks(postgres_store)
    hammers = [Hammer(postgres_store, seed) for seed in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        done = list(pool.map(Hammer.run, hammers))
    assert sum(one.steps for one in done) > 50
    assert [told for one in done for told in one.passing] == []
    assert deadlocks(postgres_store) == before  # also of those that an acceptance has tried again
    assert_adds_up(postgres_store)
