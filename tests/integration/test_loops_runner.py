"""The loops run each at its own pace, survive what fails, and stop at once; the rescuer gives back what was lost."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.exc import OperationalError

from schemas.jobs import JobState
from schemas.lanes import Lane
from tests.integration.store_rig import batch, job, job_ids, lose_lease, take, wish
from tests.services.processes import wait_until
from worker.loops.rescuer import Rescuer
from worker.loops.runner import Scheduled, run_loops
from worker.store.batches import ABANDONED_AFTER, NewBatch, open_batch
from worker.store.engine import Database, database_now
from worker.store.tables import batches

MS = timedelta(milliseconds=1)


@dataclass
class Counted:
    """Does something each time it is run: counts, and returns how much it did."""

    does: Callable[[], int] = lambda: 0
    runs: list[float] = field(default_factory=list)

    def run_once(self) -> int:
        self.runs.append(time.monotonic())
        return self.does()


class Running:
    def __init__(self, *loops: Scheduled) -> None:
        self.stop = threading.Event()
        self.thread = threading.Thread(target=run_loops, args=(loops, self.stop, time.monotonic))

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


def test_a_loop_with_work_runs_on_and_one_without_slows_down() -> None:
    busy, idle = Counted(lambda: 1), Counted(lambda: 0)
    with Running(Scheduled("busy", busy, 5 * MS, 10_000 * MS), Scheduled("idle", idle, 5 * MS, 10_000 * MS)):
        wait_until(lambda: len(busy.runs) >= 60, "the busy loop runs on")
    assert len(idle.runs) < len(busy.runs) / 3


def test_a_loop_that_fails_runs_again_and_stops_no_other() -> None:
    def fails() -> int:
        raise OperationalError("SELECT 1", {}, Exception("the database is starting up"))

    failing, other = Counted(fails), Counted(lambda: 1)
    with Running(Scheduled("failing", failing, MS, 5 * MS), Scheduled("other", other, MS, 5 * MS)):
        wait_until(lambda: len(failing.runs) >= 3 and len(other.runs) >= 3, "both go on")


def test_a_stop_is_quick_whatever_the_pause() -> None:
    idle = Counted()
    started = time.monotonic()
    with Running(Scheduled("idle", idle, timedelta(hours=1), timedelta(hours=1))):
        wait_until(lambda: bool(idle.runs), "it has run")
    assert time.monotonic() - started < 60, "far less than an hour"


def test_the_rescuer_makes_lost_jobs_due_again_and_leaves_the_others(store: Database) -> None:
    lost, kept = job_ids(store, wish(1), wish(2))
    take(store, lost, kept)
    lose_lease(store, lost)
    assert Rescuer(store).run_once() == 1
    assert (job(store, lost).state, job(store, lost).read_first) == (JobState.PENDING, True)
    assert job(store, kept).state == JobState.RUNNING
    assert Rescuer(store).run_once() == 0


def test_the_rescuer_closes_a_batch_whose_producer_is_gone(store: Database) -> None:
    with store.write() as session:
        silent, talking = (open_batch(session, NewBatch("test", Lane.BULK)).id for _ in range(2))
        before = database_now(session) - ABANDONED_AFTER - timedelta(seconds=1)
        session.execute(batches.update().where(batches.c.id == silent).values(touched_at=before))
    Rescuer(store).run_once()
    assert (batch(store, silent).abandoned, batch(store, talking).sealed_at) == (True, None)
