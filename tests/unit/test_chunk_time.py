"""A chunk's time is over at its deadline, unless a job that began before it still holds the process."""

from contextlib import ExitStack

from worker.chunk_time import OVERTIME_WAIT, ChunkTime


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_until_the_deadline_jobs_begin_and_then_no_more() -> None:
    clock = Clock()
    time = ChunkTime(102.0, 105.0, clock)
    assert (time.begin_by, time.is_over) == (102.0, False)
    clock.now = 102.0
    assert time.is_over


def test_beside_a_job_that_began_in_time_others_may_begin_and_wait_a_little() -> None:
    clock = Clock()
    time = ChunkTime(102.0, 105.0, clock)
    with time.job():
        clock.now = 103.0
        assert (time.begin_by, time.is_over) == (103.0 + OVERTIME_WAIT, False)
    assert time.is_over


def test_a_job_that_began_in_overtime_prolongs_nothing() -> None:
    clock = Clock()
    time = ChunkTime(102.0, 105.0, clock)
    with ExitStack() as in_time:
        in_time.enter_context(time.job())
        clock.now = 103.0
        late = time.job()
        late.__enter__()
        in_time.close()
        assert time.is_over
        late.__exit__(None, None, None)
        assert time.is_over


def test_overtime_ends_where_those_that_have_begun_must_be_done() -> None:
    clock = Clock()
    time = ChunkTime(102.0, 105.0, clock)
    with time.job():
        clock.now = 104.9
        assert time.begin_by == 105.0
        clock.now = 105.0
        assert time.is_over
