"""Pure: how many jobs are brought to the broker, and in what portions.

The broker holds little: seconds of work, whatever the backlog. So it is cheap to lose, and an urgent job never waits
behind a long queue.
"""

from collections.abc import Sequence
from datetime import timedelta

CHUNK_BUDGET = timedelta(seconds=2)  # a chunk sends so long at most, then gives back: lanes stay fair, a stop is quick
LOOK_AHEAD = timedelta(seconds=10)
LARGEST_CHUNK = 800
SMALLEST_CHUNK = 10
LEAST_SLICE = 25
MOST_SLICE = 200
SLICE_LASTS = timedelta(milliseconds=250)
LARGEST_WINDOW = 8_000


def chunk_size(requests_per_second: float) -> int:
    """As many jobs as may be sent in a chunk's time under the limit, within reason."""
    return max(SMALLEST_CHUNK, min(LARGEST_CHUNK, int(requests_per_second * CHUNK_BUDGET.total_seconds())))


def least_portion(requests_per_second: float) -> int:
    """The least room that is worth filling while more than that is out."""
    return chunk_size(requests_per_second) // 4


def window(requests_per_second: float) -> int:
    """The most jobs of one remote and lane that may lie with the broker at once."""
    ahead = int(requests_per_second * LOOK_AHEAD.total_seconds())
    return max(2 * SMALLEST_CHUNK, min(LARGEST_WINDOW, ahead))


def slice_size(at_once: int, per_second: float) -> int:
    """How many jobs of its chunk a worker claims together, at the pace it has known so far.

    A crash leaves those that it has claimed in doubt, and each claim costs a transaction.
    """
    return max(LEAST_SLICE, at_once, min(MOST_SLICE, int(per_second * SLICE_LASTS.total_seconds())))


def portions(ids: Sequence[int], size: int) -> list[list[int]]:
    return [list(ids[start : start + size]) for start in range(0, len(ids), size)]
