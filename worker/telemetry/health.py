"""Whether the processes of a role are live, started, ready: judged from their pulses alone.

*Live* fails where a restart may help: a part that ought to have passed has not. A database or a broker that is away is
no such thing. *Started*: each part has passed once. *Ready*: live, started, and nothing that is needed is away.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from worker.telemetry.pulse import Part, Pulse, read_pulse
from worker.telemetry.slots import lives, slots_in_use

WITHIN = 120.0  # seconds; Celery alone takes 30 to notice that a broker is back


class Question(StrEnum):
    LIVE = "live"
    READY = "ready"
    STARTUP = "startup"

    @property
    def answer(self) -> str:
        """What is true where all is well."""
        return "started" if self is Question.STARTUP else str(self)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reasons`` are empty where all is well."""

    reasons: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        return not self.reasons


def pulses_of(home: Path, role: str, host: str) -> dict[str, Pulse]:
    """Of the processes of a role on this machine, by slot: a home may be shared by several.

    One that has died may have left children that come to their end; what it said before counts no more.
    """
    told = {slot.name: read_pulse(slot.folder) for slot in slots_in_use(home, role)}
    return {name: pulse for name, pulse in told.items() if pulse and pulse.host == host and lives(pulse.pid)}


def judge(pulses: Mapping[str, Pulse], question: Question, now: float, within: float = WITHIN) -> Verdict:
    """Of all processes of a role on this machine, by slot: each has to be well, and one at least has to be there."""
    if not pulses:
        return Verdict(("no such process runs on this machine with this home",))
    return Verdict(tuple(f"{name}: {why}" for name, one in pulses.items() for why in _why(one, question, now, within)))


def _why(pulse: Pulse, question: Question, now: float, within: float) -> Iterator[str]:
    match question:
        case Question.LIVE:
            yield from _stalled(pulse, now, within)
        case Question.STARTUP:
            yield from _not_started(pulse)
        case Question.READY:
            yield from _stalled(pulse, now, within)
            yield from _not_started(pulse)
            yield from (f"the {what} is away: {why}" for what, why in pulse.lacks.items())


def _stalled(pulse: Pulse, now: float, within: float) -> Iterator[str]:
    for name, part in pulse.parts.items():
        silent = now - _last(pulse, part)
        if silent > part.every + within:
            yield f"the {name} has not passed for {silent:.0f} s"


def _not_started(pulse: Pulse) -> Iterator[str]:
    return (f"the {name} has not passed yet" for name, part in pulse.parts.items() if part.passed_at is None)


def _last(pulse: Pulse, part: Part) -> float:
    return pulse.began_at if part.passed_at is None else part.passed_at
