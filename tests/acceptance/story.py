"""What a storm is to be, and what there is to judge when it is over."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.receivers import FAILING, GONE, HANGING, HEALTHY, SLOW
from tests.acceptance.remote import Arrival, Effect
from tests.acceptance.wishes import WishFile, wishes_by_target
from tests.acceptance.year import Year

GUARDED = 3  # the exit code of what the guard has stopped
CONCURRENCY = {HEALTHY: "20", SLOW: "50", FAILING: "20", HANGING: "10", GONE: "5"}  # by the kind of endpoint


@dataclass(frozen=True, slots=True)
class Plan:
    """``rounds`` of all mischief; each round has ``wishes`` for as many targets beside the files."""

    seed: int
    rows: int
    agents: int
    fortnights: int
    wishes: int
    rate: int
    rounds: int = 1
    absurd: bool = False
    faulty: float = 0.03

    @property
    def targets(self) -> int:
        return self.rows + 2 * self.wishes + 100

    @property
    def patience(self) -> float:
        """Seconds, on a machine that has other things to do."""
        return 180 + 8 * self.rounds * (self.rows + self.wishes) / self.rate


@dataclass(frozen=True, slots=True)
class Urgent:
    """An interactive wish: when it was accepted, on the machine's monotonic clock, and what was due before it."""

    name: str
    at: float
    waiting: int


@dataclass
class Story:
    """What there is to judge. ``answers`` are the guarded commands' exit codes by what they were given; ``untouched``
    says of those that were stopped whether nothing was written."""

    plan: Plan
    year: Year
    receipts: list[dict[str, Any]] = field(default_factory=list)
    files: list[WishFile] = field(default_factory=list)
    wished: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    urgent: list[Urgent] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    untouched: dict[str, bool] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    endpoint: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    most_in_a_second: int = 0
    most_queued: int = 0
    memory: int = 0
    seconds: float = 0.0

    @property
    def order(self) -> dict[str, list[float]]:
        """The values that were asked for each target that somebody has named, oldest wish first."""
        return wishes_by_target(self.files) | self.wished
