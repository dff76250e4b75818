"""Pure: how often a limit was broken, from the times at which requests arrived."""

from collections.abc import Sequence


def over_the_limit(arrivals: Sequence[float], limit: int, window: float) -> int:
    """How many arrivals ended a window that held more than the limit: the one so many before them is too near."""
    ordered = sorted(arrivals)
    return sum(last - first < window for first, last in zip(ordered, ordered[limit:], strict=False))
