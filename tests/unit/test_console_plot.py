"""What is drawn of a history: values hold until the next one, ticks are round, nothing lies outside of the plane."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.console.plot import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MOST_TICKS,
    RIGHT,
    TOP,
    WIDTH,
    Moment,
    Value,
    history_plot,
    share_plot,
    time_ticks,
    value_ticks,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_value_holds_until_the_next_and_the_last_until_now() -> None:
    plot = history_plot([Value(NOON, 50, "first"), Value(NOON + DAY, 75, "second")], [], NOON + 2 * DAY)
    assert plot
    first, second = plot.dots
    assert plot.line == f"M{first.x} {first.y}H{second.x}V{second.y}H{float(WIDTH - RIGHT)}"
    assert second.y < first.y, "more is higher"


def test_what_did_not_take_effect_is_a_dot_and_no_part_of_the_line() -> None:
    refused = Value(NOON + DAY, 99, "refused", "failed", holds=False)
    plot = history_plot([Value(NOON, 50, "kept"), refused], [], NOON + 2 * DAY)
    assert plot
    assert "V" not in plot.line
    assert plot.dots[1].kind == "failed"


def test_nothing_is_drawn_of_nothing() -> None:
    assert history_plot([], [Moment(NOON, "somebody joined", "joined")], NOON) is None


@pytest.mark.parametrize("values", [[50.0], [0.0], [0.0, 0.0], [-3.0, 1e9], [82.5, 82.5000001]], ids=str)
def test_all_that_is_drawn_lies_within_the_margins(values: list[float]) -> None:
    told = [Value(NOON + DAY * number, value, "") for number, value in enumerate(values)]
    plot = history_plot(told, [Moment(NOON - DAY, "before", "left")], NOON)
    assert plot
    for x, y in [(dot.x, dot.y) for dot in plot.dots] + [(mark.x, TOP) for mark in plot.marks]:
        assert LEFT <= x <= WIDTH - RIGHT
        assert TOP <= y <= HEIGHT - BOTTOM
    assert all(TOP <= tick.at <= HEIGHT - BOTTOM for tick in plot.ys)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([62.5, 82.5], [60, 65, 70, 75, 80, 85]),
        ([120, 155], [120, 130, 140, 150, 160]),
        ([50], [49, 49.5, 50, 50.5, 51]),
        ([0], [0, 0.5, 1]),
    ],
    ids=str,
)
def test_ticks_are_round_and_enclose_what_is_drawn(values: list[float], ticks: list[float]) -> None:
    assert value_ticks(values) == ticks


@pytest.mark.parametrize("hours", [0.01, 0.5, 1, 7, 30, 24 * 9, 24 * 60, 24 * 800, 24 * 9_000])
def test_there_are_never_more_moments_than_fit(hours: float) -> None:
    ticks = time_ticks(NOON, NOON + timedelta(hours=hours))
    assert len(ticks) <= MOST_TICKS + 1
    assert len({label for _, label in ticks}) == len(ticks), "no two read the same"


def test_a_share_is_of_what_the_limit_allows_and_what_is_over_it_is_shown() -> None:
    minute = timedelta(minutes=1)
    plot = share_plot([(NOON, 30), (NOON + minute, 90), (NOON + 2 * minute, 0)], minute, 60)
    half, over, none = plot.bars
    assert "50% of the limit" in half.words
    assert over.height > half.height * 2.9
    assert over.y >= TOP
    assert none.height == 0
