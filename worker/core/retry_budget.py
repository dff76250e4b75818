"""Pure: retries are paid for by first tries, so that no storm answers an outage (gRPC A6: retry throttling)."""

from dataclasses import dataclass


@dataclass(slots=True)
class RetryBudget:
    """``ratio`` of a retry is earned by each first try, up to ``most``; a retry spends one.

    One per worker process. ``tokens`` starts at a small reserve so that a lone job can be retried.
    """

    ratio: float = 0.2
    most: float = 100.0
    tokens: float = 10.0

    def first_try(self) -> None:
        self.tokens = min(self.most, self.tokens + self.ratio)

    def may_retry(self) -> bool:
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
