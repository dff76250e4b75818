"""What an operator can do from a page: each is looked at first, confirmed, and written to the audit trail.

Each calls what the command of the same name calls. Refused   it cannot be done (any more); its line says why.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from sqlmodel import Session

from api_adapter.rate_limit.shared import LimiterAwayError
from schemas.jobs import JobState
from schemas.lanes import Lane
from worker.console.desk import BadInput, Desk, NotThere, number_of
from worker.console.pages_oversight import approval_seen
from worker.console.pages_overview import remote_records
from worker.console.pages_webhooks import delivery_seen, endpoint_seen
from worker.console.pages_work import batch_seen, job_seen
from worker.counts import counted
from worker.fleet import forget_cooldown
from worker.intake.deciding import CannotDecide, decide_approval
from worker.store import endpoints, halts, redriving, remotes, roster, steering
from worker.store.selection import Selection, some_ids
from worker.store.steering import AT_ONCE, Steered
from worker.telling.cells import cell
from worker.telling.remote_records import lane_words
from worker.telling.words import outcome_words
from worker.webhooks import signing
from worker.webhooks.setup import sealer_of

LONGEST_WHY = 200


class Refused(Exception):  # noqa: N818 - the house names what happened
    """Its line says why nothing was done."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would be done: ``sentences`` say it; ``place`` is the page that one comes from and goes back to.

    ``why_not`` is why it cannot be done now. ``asks_why``: a reason may be given.
    """

    subject: str
    place: str
    sentences: tuple[str, ...]
    why_not: str | None = None
    asks_why: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it. ``secret`` is shown this once and kept nowhere in the clear; ``more``: again goes on."""

    words: str
    secret: str | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """``on`` is what it is done to, ``why`` the person's reason; long work goes on while it is ``in_time``."""

    on: str
    why: str | None
    in_time: Callable[[], bool]
    random_bytes: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Action:
    title: str
    look: Callable[[Desk, Session, str], Prospect]
    act: Callable[[Desk, Order], Told]
    danger: bool = False


def _look_at_retry(desk: Desk, session: Session, on: str) -> Prospect:
    job = job_seen(desk, session, on).job
    steered = steering.plan_retry(session, [job.id])
    sentences = (f"It {outcome_words(job)}.", "It gets a fresh try now, under a new idempotency key.")
    return Prospect(f"job {on}", f"/jobs/{on}", sentences, steered.skipped.get(job.id))


def _retry(desk: Desk, order: Order) -> Told:
    return _steer_job(desk, order, steering.retry, "It is tried again now.")


def _look_at_cancel(desk: Desk, session: Session, on: str) -> Prospect:
    job = job_seen(desk, session, on).job
    steered = steering.plan_cancel(session, [job.id])
    return Prospect(f"job {on}", f"/jobs/{on}", ("It ends unsent.",), steered.skipped.get(job.id))


def _cancel(desk: Desk, order: Order) -> Told:
    return _steer_job(desk, order, steering.cancel, "It is cancelled.")


def _look_at_cancel_batch(desk: Desk, session: Session, on: str) -> Prospect:
    batch = batch_seen(desk, session, on)
    still_open = batch.accepted - batch.succeeded - batch.failed - batch.superseded - batch.cancelled
    sentences = (
        f"{counted(still_open, 'job is', 'jobs are')} open. Those that wait end unsent; what a worker holds goes on.",
    )
    why_not = None if still_open else "nothing of it is open"
    return Prospect(f"batch {batch.id}", f"/batches/{batch.id}", sentences, why_not)


def _cancel_batch(desk: Desk, order: Order) -> Told:
    return _steer_batch(desk, order, JobState.PENDING, steering.cancel, "cancelled")


def _look_at_retry_batch(desk: Desk, session: Session, on: str) -> Prospect:
    batch = batch_seen(desk, session, on)
    sentences = (f"{counted(batch.failed, 'job has', 'jobs have')} failed. Each gets a fresh try now.",)
    why_not = None if batch.failed else "nothing of it has failed"
    return Prospect(f"batch {batch.id}", f"/batches/{batch.id}", sentences, why_not)


def _retry_batch(desk: Desk, order: Order) -> Told:
    return _steer_batch(desk, order, JobState.FAILED, steering.retry, "retried")


def _look_at_decision(desk: Desk, session: Session, on: str) -> Prospect:
    approval = approval_seen(desk, session, number_of("approval", on))
    held = roster.count_held(session, approval.id)
    sentences = [f"{approval.subject}: {approval.reason}"]
    if held:
        sentences.append(f"{counted(held, 'event is', 'events are')} held for it.")
    why_not = None if approval.decided_at is None else f"it was {approval.state} by {approval.decided_by}"
    return Prospect(f"approval {approval.id}", f"/approvals/{approval.id}", tuple(sentences), why_not)


def _approve(desk: Desk, order: Order) -> Told:
    return _decide(desk, order, approved=True)


def _reject(desk: Desk, order: Order) -> Told:
    return _decide(desk, order, approved=False)


def _look_at_release(desk: Desk, session: Session, on: str) -> Prospect:
    _remote(desk, session, on)
    found = remotes.held(session, on)
    sentences = []
    if found.quarantine:
        sentences.append(f"It is in quarantine since {cell(found.quarantine.since)}: {found.quarantine.reason}.")
    sentences += [f"{lane_words(pause.lane).capitalize()} waits until {cell(pause.until)}." for pause in found.pauses]
    sentences.append(
        "The quarantine, the pauses and the cooldown end, and jobs that wait only for them are due. The limits hold"
        " all the same. What a person has paused stays paused."
    )
    return Prospect(f"remote {on}", f"/remotes/{on}", tuple(sentences))


def _release(desk: Desk, order: Order) -> Told:
    with desk.runtime.database.read() as session:
        _remote(desk, session, order.on)
    remote = next((one for one in desk.runtime.settings.all_remotes if one.name == order.on), None)
    try:
        cooldown = forget_cooldown(desk.runtime, remote) if remote else timedelta(0)
    except LimiterAwayError:
        raise Refused("the broker cannot be reached; nothing was changed") from None
    with desk.runtime.database.write() as session:
        found = remotes.release(session, order.on)
    desk.runtime.dispatcher.nudge()
    ended = [
        *(["the quarantine"] if found.quarantine else []),
        *([counted(len(found.pauses), "pause")] if found.pauses else []),
        *(["the cooldown"] if cooldown else []),
        *([f"the wait of {counted(found.jobs, 'job')}"] if found.jobs else []),
    ]
    return Told(f"Ended: {', '.join(ended)}." if ended else "There was nothing to end.")


def _look_at_pause(desk: Desk, session: Session, on: str) -> Prospect:
    name, lane = _remote_and_lane(desk, session, on)
    sentences = (
        f"Nothing is sent to {lane_words(lane or 'every')} of {name} until somebody resumes it. What comes waits.",
        "What is under way at this moment ends first, within seconds.",
    )
    halted = any(one.remote == name and one.lane == (lane or "every") for one in halts.list_all(session))
    why_not = "it is paused already" if halted else None
    return Prospect(f"remote {on}", f"/remotes/{name}", sentences, why_not, asks_why=True)


def _pause(desk: Desk, order: Order) -> Told:
    with desk.runtime.database.write() as session:
        name, lane = _remote_and_lane(desk, session, order.on)
        if not halts.halt(session, name, lane, desk.viewer.name, order.why):
            raise Refused("it is paused already")
    return Told(f"{lane_words(lane or 'every').capitalize()} of {name} is paused.")


def _look_at_resume(desk: Desk, session: Session, on: str) -> Prospect:
    name, lane = _remote_and_lane(desk, session, on)
    here = [one for one in halts.list_all(session) if one.remote == name and (lane is None or one.lane == lane)]
    sentences = tuple(
        f"{lane_words(one.lane).capitalize()} is paused since {cell(one.since)} by {one.who}"
        f"{f': {one.why}' if one.why else ''}."
        for one in here
    )
    return Prospect(f"remote {on}", f"/remotes/{name}", sentences, None if here else "nobody has paused it")


def _resume(desk: Desk, order: Order) -> Told:
    with desk.runtime.database.write() as session:
        name, lane = _remote_and_lane(desk, session, order.on)
        if not halts.resume(session, name, lane):
            raise Refused("nobody has paused it")
    desk.runtime.dispatcher.nudge()
    return Told(f"{name} is sent to again.")


def _look_at_replay(desk: Desk, session: Session, on: str) -> Prospect:
    delivery, message = delivery_seen(desk, session, number_of("delivery", on))
    sentences = (f"{message.type} goes to {delivery.endpoint_id} again, under the id it had: {message.id}.",)
    why_not = "it is about to be sent anyway" if delivery.state == "pending" else None
    return Prospect(f"delivery {on}", f"/deliveries/{on}", sentences, why_not)


def _replay(desk: Desk, order: Order) -> Told:
    with desk.runtime.database.write() as session:
        delivery, _ = delivery_seen(desk, session, number_of("delivery", order.on))
        if not redriving.redrive(session, [delivery.id]):
            raise Refused("its endpoint is disabled or deleted, or it is about to be sent anyway")
    return Told("It will be sent again.")


def _look_at_rotation(desk: Desk, session: Session, on: str) -> Prospect:
    endpoint = endpoint_seen(desk, session, on)
    overlap = desk.runtime.settings.webhooks.overlap
    sentences = (
        f"{endpoint.url} gets a new secret, which is shown once, on the next page.",
        f"For {overlap.total_seconds() / 3600:g} hours the old one signs beside it.",
    )
    return Prospect(f"endpoint {on}", f"/webhooks/{on}", sentences)


def _rotate(desk: Desk, order: Order) -> Told:
    settings = desk.runtime.settings
    secret = signing.new_secret("v1", order.random_bytes)
    sealed = sealer_of(settings).seal(secret)
    with desk.runtime.database.write() as session:
        endpoint = endpoint_seen(desk, session, order.on)
        until = endpoints.rotate(session, endpoint.id, "v1", sealed, settings.webhooks.overlap)
    return Told(f"The old secret signs too until {cell(until)}.", signing.shown(secret))


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
        chosen = Selection(state=state, batch_id=batch_seen(desk, session, order.on).id)
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


def _decide(desk: Desk, order: Order, *, approved: bool) -> Told:
    with desk.runtime.database.write() as session:
        approval = approval_seen(desk, session, number_of("approval", order.on))
        try:
            events = decide_approval(session, approval.id, approved=approved, by=desk.viewer.name)
        except CannotDecide as error:
            raise Refused(str(error)) from None
    what = "Approved" if approved else "Rejected"
    became = "let in" if approved else "refused"
    return Told(f"{what}. {counted(events, 'held event was', 'held events were')} {became}." if events else f"{what}.")


def _remote_and_lane(desk: Desk, session: Session, on: str) -> tuple[str, Lane | None]:
    """``default``, or ``default bulk`` for one lane of it."""
    name, _, lane = on.partition(" ")
    _remote(desk, session, name)
    if not lane:
        return name, None
    try:
        return name, Lane(lane)
    except ValueError:
        raise BadInput(f"lane: {lane[:40]!r} is none of {', '.join(Lane)}") from None


def _remote(desk: Desk, session: Session, name: str) -> None:
    if name not in {one["remote"] for one in remote_records(desk, session)}:
        raise NotThere(f"There is no remote {name[:60]!r}.")


ACTIONS: Mapping[str, Action] = MappingProxyType({
    "retry-job": Action("Retry the job", _look_at_retry, _retry),
    "cancel-job": Action("Cancel the job", _look_at_cancel, _cancel, danger=True),
    "retry-batch": Action("Retry what failed", _look_at_retry_batch, _retry_batch),
    "cancel-batch": Action("Cancel the batch", _look_at_cancel_batch, _cancel_batch, danger=True),
    "approve": Action("Approve", _look_at_decision, _approve),
    "reject": Action("Reject", _look_at_decision, _reject, danger=True),
    "release-remote": Action("Release the remote", _look_at_release, _release),
    "pause-remote": Action("Pause", _look_at_pause, _pause, danger=True),
    "resume-remote": Action("Resume", _look_at_resume, _resume),
    "replay-delivery": Action("Send again", _look_at_replay, _replay),
    "rotate-secret": Action("Rotate the secret", _look_at_rotation, _rotate, danger=True),
})  # fmt: skip
