"""What the sandbox saw and did: every request that arrived, every effective write. Measures, never judges."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from api_adapter.outcomes import Operation
from api_adapter.sandbox.cooldown import Cooldown
from api_adapter.sandbox.targets import Target


@dataclass(slots=True)
class Arrival:
    """One request. ``at`` is monotonic seconds. ``status`` is None until answered, for ever where the line was cut."""

    at: float
    time: datetime
    operation: Operation | None
    name: str
    key: str
    request_id: str
    in_cooldown: bool
    status: int | None = None
    fault: str = ""


@dataclass(slots=True)
class Effect:
    """One effective write. ``old`` is None for a creation, ``new`` for a deletion.

    ``replays`` counts how often the stored answer was given again for the same key.
    """

    sequence: int
    at: float
    time: datetime
    name: str
    old: Target | None
    new: Target | None
    key: str
    request_id: str
    replays: int = 0


@dataclass(slots=True)
class Ledger:
    cooldown: Cooldown
    arrivals: list[Arrival] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    token_renewals: int = 0

    @property
    def cooldown_violations(self) -> int:
        return sum(arrival.in_cooldown for arrival in self.arrivals)

    @property
    def replays(self) -> int:
        return sum(effect.replays for effect in self.effects)

    def effects_of(self, name: str) -> list[Effect]:
        return [effect for effect in self.effects if effect.name == name]

    def counts(self) -> Counter[tuple[str, str]]:
        """By operation and status; ``none`` is no operation, ``unanswered`` a cut line or still in work."""
        return Counter(
            (str(arrival.operation or "none"), str(arrival.status or "unanswered")) for arrival in self.arrivals
        )

    def most_in(self, window: timedelta) -> int:
        """The most requests that arrived in any sliding window of this length."""
        return most_in_window([arrival.at for arrival in self.arrivals], window)


def most_in_window(times: Iterable[float], window: timedelta) -> int:
    """Half-open windows: two requests exactly one window apart are never in the same one."""
    ordered: Sequence[float] = sorted(times)
    length = window.total_seconds()
    most = first = 0
    for last, time in enumerate(ordered):
        while time - ordered[first] >= length:
            first += 1
        most = max(most, last - first + 1)
    return most
