"""Pure: the state of the whole in one line, what needs a person first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.instants import format_instant
from worker.core.durations import in_words
from worker.counts import counted

MAKE_ALIKE = "set the same in both places, and start them anew (`coachsync config` shows what is in force here)"


@dataclass(frozen=True, slots=True)
class RemoteState:
    """``waiting`` jobs are pending for it; ``named`` says whether the settings still have it.

    ``halted``: the lanes that a person has paused.
    """

    name: str
    named: bool
    waiting: int
    quarantined_since: datetime | None
    cooldown: timedelta
    halted: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class EndpointState:
    """Who is told: ``disabled`` says why nothing is sent there any more, ``failing_since`` that its circuit is open."""

    name: str
    due: int
    disabled: str | None = None
    failing_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """``workers``, of so many ``processes``, and ``loops`` that were seen; without the broker no worker can be.

    Where no loops were, none has been for ``silent_for``, if there ever were any. ``strangers``: those of them that run
    with other settings of the remotes than who is looking.
    """

    broker: bool
    workers: int
    loops: int
    remotes: Sequence[RemoteState]
    strangers: Sequence[str] = ()
    silent_for: timedelta | None = None
    processes: int | None = None
    deliverers: int = 0
    endpoints: Sequence[EndpointState] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    well: bool
    words: str


def judge(situation: Situation) -> Verdict:
    troubles = [*_processes(situation), *_remotes(situation.remotes), *_webhooks(situation)]
    if troubles:
        return Verdict(well=False, words="; ".join(troubles))
    named = [remote for remote in situation.remotes if remote.named]
    workers = workers_words(situation.workers, situation.processes)
    words = f"all well: {counted(len(named), 'remote')} ok, {workers}"
    pauses = [f"{one.name} is left alone for {in_words(one.cooldown)}, as it asked" for one in named if one.cooldown]
    pauses += [f"{one.name} is paused by a person ({', '.join(one.halted)})" for one in named if one.halted]
    return Verdict(well=True, words="; ".join([words, *pauses]))


def _processes(situation: Situation) -> Iterator[str]:
    if not situation.broker:
        yield "the broker cannot be reached: nothing is sent until it is back, and nothing accepted is lost"
    elif not situation.workers:
        yield "no worker seen: start one with `coachsync worker`"
    if not situation.loops:
        waiting = sum(remote.waiting for remote in situation.remotes)
        yield f"{silence_words(situation.silent_for, waiting)}: start them with `coachsync loops`"
    if situation.strangers:
        yield f"{strange_words(situation.strangers)}: {MAKE_ALIKE}"


def workers_words(workers: int, processes: int | None) -> str:
    told = counted(workers, "worker")
    return told if processes is None else f"{told} ({counted(processes, 'process', 'processes')})"


def silence_words(silent_for: timedelta | None, waiting: int) -> str:
    """No loops were seen; without them what waits is not brought to the workers."""
    seen = f"no loops seen for {in_words(silent_for)}" if silent_for else "no loops seen"
    return f"{seen}, and {counted(waiting, 'job waits', 'jobs wait')}" if waiting else seen


def strange_words(strangers: Sequence[str]) -> str:
    runs = "runs" if len(strangers) == 1 else "run"
    return f"{' and '.join(strangers)} {runs} with other settings of the remotes than this shell has"


def _remotes(remotes: Sequence[RemoteState]) -> Iterator[str]:
    named = [remote for remote in remotes if remote.named]
    if not named:
        yield "no remote is configured: set COACHSYNC_API_URL"
    aside = {remote.name: remote.quarantined_since for remote in named if remote.quarantined_since}
    if aside:
        since = ", ".join(f"{name} since {format_instant(at.replace(microsecond=0))}" for name, at in aside.items())
        yield f"{counted(len(named) - len(aside), 'remote')} ok, {len(aside)} in quarantine: {since}"
    for remote in remotes:
        if not remote.named and remote.waiting:
            waiting = counted(remote.waiting, "job waits", "jobs wait")
            yield f"{waiting} for the remote {remote.name}, which the settings do not name"


def _webhooks(situation: Situation) -> Iterator[str]:
    due = sum(endpoint.due for endpoint in situation.endpoints)
    if due and not situation.deliverers:
        waiting = counted(due, "message waits", "messages wait")
        yield f"nobody seen who sends webhooks, and {waiting}: start `coachsync webhooks deliver`"
    for one in situation.endpoints:
        if one.disabled:
            yield f"the endpoint {one.name} is disabled: {one.disabled}"
        elif one.failing_since:
            yield f"the endpoint {one.name} fails since {format_instant(one.failing_since.replace(microsecond=0))}"
