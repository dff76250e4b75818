"""Pure: how long to wait before the next try."""

from collections.abc import Callable
from datetime import timedelta

BASE = timedelta(seconds=1)
MOST = timedelta(minutes=5)


def full_jitter(
    failures: int, uniform: Callable[[], float], *, base: timedelta = BASE, most: timedelta = MOST
) -> timedelta:
    """A random wait up to ``base * 2**failures``, at most ``most``; ``uniform`` gives [0, 1).

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog: full jitter spreads the retries of a fleet best.
    """
    ceiling = min(most, base * (1 << min(failures, 20)))
    return ceiling * uniform()
