"""How fast a batch goes and how long the rest takes; and durations as people say them."""

from datetime import timedelta

import pytest

from worker.core.durations import in_words
from worker.core.progress import Pace, Sample, pace, recent


@pytest.mark.parametrize(
    ("samples", "remaining", "expected"),
    [
        ([], 10, Pace(0.0, None)),
        ([Sample(0, 5)], 10, Pace(0.0, None)),
        ([Sample(0, 0), Sample(10, 100)], 50, Pace(10.0, timedelta(seconds=5))),
        ([Sample(0, 7), Sample(10, 7)], 50, Pace(0.0, None)),
        ([Sample(0, 7), Sample(10, 3)], 50, Pace(0.0, None)),
        ([Sample(0, 0), Sample(10, 100)], 0, Pace(10.0, timedelta(0))),
    ],
)
def test_the_pace_is_what_ended_over_the_time_it_took_and_none_can_be_told_where_nothing_ends(
    samples: list[Sample], remaining: int, expected: Pace
) -> None:
    assert pace(samples, remaining) == expected


def test_what_is_long_ago_says_nothing_of_the_pace() -> None:
    samples = [Sample(0, 0), Sample(69, 10), Sample(71, 20), Sample(100, 30)]
    assert recent(samples) == samples[2:]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0.0 s"),
        (0.44, "0.4 s"),
        (9.9, "9.9 s"),
        (10, "10 s"),
        (59.99, "59 s"),
        (60, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (86_399, "23 h 59 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_said_in_the_two_units_that_matter(seconds: float, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words
