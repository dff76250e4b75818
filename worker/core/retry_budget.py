"""Pure: retries are paid for by first tries, so that no storm answers an outage (gRPC A6: retry throttling)."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

RESERVE = 10.0


@dataclass(slots=True)
class RetryBudget:
    """``ratio`` of a retry is earned by each first try, up to ``most``; a retry spends one.

    One per worker process. A reserve comes back by ``per_second``, as in Finagle's budget: the last jobs of a backlog
    are all retries, and no first try is left to pay for them. ``clock`` is monotonic, in seconds.
    """

    ratio: float = 0.2
    per_second: float = 1.0
    most: float = 100.0
    tokens: float = RESERVE
    clock: Callable[[], float] = time.monotonic
    _counted_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._counted_at = self.clock()

    def first_try(self) -> None:
        self.tokens = min(self.most, self.tokens + self.ratio)

    def may_retry(self) -> bool:
        self._refill()
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def _refill(self) -> None:
        now = self.clock()
        earned = (now - self._counted_at) * self.per_second
        self.tokens = max(self.tokens, min(RESERVE, self.tokens + earned))
        self._counted_at = now
