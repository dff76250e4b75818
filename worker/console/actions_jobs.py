"""Jobs and batches: tried again, cancelled."""

from collections.abc import Callable

from sqlmodel import Session

from schemas.jobs import JobState
from worker.console.action import Order, Prospect, Refused, Told
from worker.console.desk import Desk
from worker.console.pages_work import batch_seen, job_seen
from worker.counts import counted
from worker.store import steering
from worker.store.selection import Selection, some_ids
from worker.store.steering import AT_ONCE, Steered
from worker.telling.words import outcome_words


def look_at_retry(desk: Desk, session: Session, on: str) -> Prospect:
    job = job_seen(desk, session, on).job
    steered = steering.plan_retry(session, [job.id])
    sentences = (f"It {outcome_words(job)}.", "It gets a fresh try now, under a new idempotency key.")
    return Prospect(f"job {on}", f"/jobs/{on}", sentences, steered.skipped.get(job.id))


def retry(desk: Desk, order: Order) -> Told:
    return _steer_job(desk, order, steering.retry, "It is tried again now.")


def look_at_cancel(desk: Desk, session: Session, on: str) -> Prospect:
    job = job_seen(desk, session, on).job
    steered = steering.plan_cancel(session, [job.id])
    return Prospect(f"job {on}", f"/jobs/{on}", ("It ends unsent.",), steered.skipped.get(job.id))


def cancel(desk: Desk, order: Order) -> Told:
    return _steer_job(desk, order, steering.cancel, "It is cancelled.")


def look_at_cancel_batch(desk: Desk, session: Session, on: str) -> Prospect:
    batch = batch_seen(desk, session, on)
    still_open = batch.accepted - batch.succeeded - batch.failed - batch.superseded - batch.cancelled
    sentences = (
        f"{counted(still_open, 'job is', 'jobs are')} open. Those that wait end unsent; what a worker holds goes on.",
    )
    why_not = None if still_open else "nothing of it is open"
    return Prospect(f"batch {batch.id}", f"/batches/{batch.id}", sentences, why_not)


def cancel_batch(desk: Desk, order: Order) -> Told:
    return _steer_batch(desk, order, JobState.PENDING, steering.cancel, "cancelled")


def look_at_retry_batch(desk: Desk, session: Session, on: str) -> Prospect:
    batch = batch_seen(desk, session, on)
    sentences = (f"{counted(batch.failed, 'job has', 'jobs have')} failed. Each gets a fresh try now.",)
    why_not = None if batch.failed else "nothing of it has failed"
    return Prospect(f"batch {batch.id}", f"/batches/{batch.id}", sentences, why_not)


def retry_batch(desk: Desk, order: Order) -> Told:
    return _steer_batch(desk, order, JobState.FAILED, steering.retry, "retried")


def _steer_job(desk: Desk, order: Order, steer: Callable[..., Steered], words: str) -> Told:
    with desk.runtime.database.write() as session:
        job = job_seen(desk, session, order.on).job
        steered = steer(session, [job.id])
    if why_not := steered.skipped.get(job.id):
        raise Refused(why_not)
    desk.runtime.dispatcher.nudge()
    return Told(words)


def _steer_batch(desk: Desk, order: Order, state: JobState, steer: Callable[..., Steered], done: str) -> Told:
    """Portion by portion, each in a transaction of its own; what no time is left for is told."""
    with desk.runtime.database.read() as session:
        batch = batch_seen(desk, session, order.on)
    chosen = Selection(state=state, batch_id=batch.id, customers=desk.customers)  # more rows may come, and be another's
    count, skipped, after = 0, 0, 0
    while True:
        with desk.runtime.database.write() as session:
            ids = some_ids(session, chosen, after, AT_ONCE)
            steered = steer(session, ids)
        count, skipped = count + len(steered.done), skipped + len(steered.skipped)
        if len(ids) < AT_ONCE or not order.in_time():
            break
        after = ids[-1]
    desk.runtime.dispatcher.nudge()
    more = len(ids) == AT_ONCE
    words = f"{counted(count, 'job was', 'jobs were')} {done}" + (f", {skipped:,} could not be" if skipped else "")
    return Told(words + (". There are more: do the same again." if more else "."), more=more)
