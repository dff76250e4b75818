"""Waits between tries: random, growing, bounded."""

from datetime import timedelta

import pytest

from worker.core.backoff import BASE, MOST, full_jitter


@pytest.mark.parametrize(
    ("failures", "ceiling"), [(0, 1), (1, 2), (5, 32), (8, 256), (9, 300), (20, 300), (10**9, 300)]
)
def test_a_wait_lies_anywhere_up_to_a_ceiling_that_doubles_to_5_min(failures: int, ceiling: int) -> None:
    assert full_jitter(failures, lambda: 0.0) == timedelta(0)
    assert full_jitter(failures, lambda: 0.5) == timedelta(seconds=ceiling / 2)
    assert full_jitter(failures, lambda: 0.999999) < timedelta(seconds=ceiling)


def test_base_and_most_are_the_callers_to_choose() -> None:
    assert full_jitter(3, lambda: 0.5, base=2 * BASE) == timedelta(seconds=8)
    assert full_jitter(30, lambda: 0.5, most=MOST / 10) == MOST / 20
