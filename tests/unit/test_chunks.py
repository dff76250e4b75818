"""How much goes to the broker at once, and in which portions."""

import pytest

from worker.core.chunks import (
    LARGEST_CHUNK,
    LARGEST_WINDOW,
    LEAST_SLICE,
    MOST_SLICE,
    SMALLEST_CHUNK,
    chunk_size,
    portions,
    slice_size,
    window,
)


@pytest.mark.parametrize(
    ("rate", "size", "out"),
    [
        (0.01, SMALLEST_CHUNK, 2 * SMALLEST_CHUNK),
        (5, 10, 50),
        (50, 100, 500),
        (10_000, LARGEST_CHUNK, LARGEST_WINDOW),
    ],
)
def test_a_chunk_is_what_may_be_sent_in_its_time_and_a_window_some_chunks(rate: float, size: int, out: int) -> None:
    assert (chunk_size(rate), window(rate)) == (size, out)
    assert window(rate) >= 2 * chunk_size(rate)


def test_what_a_remote_may_have_out_is_ten_messages_at_most_whatever_its_rate() -> None:
    rates = [0.01, *range(1, 1_000), 10_000]
    assert max(len(portions(range(window(rate)), chunk_size(rate))) for rate in rates) == 10


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_portions_keep_all_ids_in_their_order(count: int, sizes: list[int]) -> None:
    ids = list(range(count))
    parts = portions(ids, 10)
    assert [len(part) for part in parts] == sizes
    assert [one for part in parts for one in part] == ids


@pytest.mark.parametrize(
    ("at_once", "pace", "size"),
    [(1, 0.0, LEAST_SLICE), (50, 0.0, 50), (50, 400.0, 100), (50, 100_000.0, MOST_SLICE), (300, 0.0, 300)],
)
def test_a_slice_is_a_quarter_second_of_work_and_never_less_than_goes_at_once(
    at_once: int, pace: float, size: int
) -> None:
    assert slice_size(at_once, pace) == size
