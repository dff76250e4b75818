"""Remotes: released, paused, resumed."""

from datetime import timedelta

from sqlmodel import Session

from api_adapter.rate_limit.shared import LimiterAwayError
from schemas.lanes import Lane
from worker.console.action import Order, Prospect, Refused, Told
from worker.console.desk import BadInput, Desk, NotThere
from worker.console.pages_overview import remote_records
from worker.counts import counted
from worker.fleet import forget_cooldown
from worker.store import halts, remotes
from worker.telling.cells import cell
from worker.telling.remote_records import lane_words


def look_at_release(desk: Desk, session: Session, on: str) -> Prospect:
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


def release(desk: Desk, order: Order) -> Told:
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


def look_at_pause(desk: Desk, session: Session, on: str) -> Prospect:
    name, lane = _remote_and_lane(desk, session, on)
    sentences = (
        f"Nothing is sent to {lane_words(lane or 'every')} of {name} until somebody resumes it. What comes waits.",
        "What is under way at this moment ends first, within seconds.",
    )
    halted = any(one.remote == name and one.lane == (lane or "every") for one in halts.list_all(session))
    why_not = "it is paused already" if halted else None
    return Prospect(f"remote {on}", f"/remotes/{name}", sentences, why_not, asks_why=True)


def pause(desk: Desk, order: Order) -> Told:
    with desk.runtime.database.write() as session:
        name, lane = _remote_and_lane(desk, session, order.on)
        if not halts.halt(session, name, lane, desk.viewer.name, order.why):
            raise Refused("it is paused already")
    return Told(f"{lane_words(lane or 'every').capitalize()} of {name} is paused.")


def look_at_resume(desk: Desk, session: Session, on: str) -> Prospect:
    name, lane = _remote_and_lane(desk, session, on)
    here = [one for one in halts.list_all(session) if one.remote == name and (lane is None or one.lane == lane)]
    sentences = tuple(
        f"{lane_words(one.lane).capitalize()} is paused since {cell(one.since)} by {one.who}"
        f"{f': {one.why}' if one.why else ''}."
        for one in here
    )
    return Prospect(f"remote {on}", f"/remotes/{name}", sentences, None if here else "nobody has paused it")


def resume(desk: Desk, order: Order) -> Told:
    with desk.runtime.database.write() as session:
        name, lane = _remote_and_lane(desk, session, order.on)
        if not halts.resume(session, name, lane):
            raise Refused("nobody has paused it")
    desk.runtime.dispatcher.nudge()
    return Told(f"{name} is sent to again.")


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
