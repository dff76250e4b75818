"""How long a chunk works: until when its jobs begin, and until when those that have begun may send."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OVERTIME_WAIT = 0.25  # seconds that a job may wait for its first permit in overtime


@dataclass(slots=True)
class ChunkTime:
    """No job begins after ``deadline``, none that has begun sends after ``finish_by``: seconds of the loop's ``clock``.

    Overtime: a job that began in time and still waits for its answer holds the process anyway, so others may begin
    beside it. One of those may be late itself: then the
    chunk lasts longer by it, and never past ``finish_by`` and one request.
    """

    deadline: float
    finish_by: float
    clock: Callable[[], float]
    _under_way: int = field(default=0, init=False)

    @contextmanager
    def job(self) -> Iterator[None]:
        """Around all that is done for one job."""
        in_time = self.clock() < self.deadline
        self._under_way += in_time
        try:
            yield
        finally:
            self._under_way -= in_time

    @property
    def begin_by(self) -> float:
        """Until when a job that begins now may wait for its first permit; in the past once the time is over."""
        now = self.clock()
        if now < self.deadline or not self._under_way:
            return self.deadline
        return min(now + OVERTIME_WAIT, self.finish_by)

    @property
    def is_over(self) -> bool:
        return self.begin_by <= self.clock()
