"""Whatever changes, in whatever order: the guard says the same, and nothing under its limits."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from worker.configuration.oversight import GuardOptions
from worker.core.guard import Change, ChangeKind, judge_roster, judge_targets, threshold

BEGIN = datetime(2026, 1, 31, tzinfo=UTC)
GROUPS = ("tier-1", "tier-2", "night")
LIMITS = st.builds(
    GuardOptions,
    share=st.integers(1, 100).map(lambda percent: percent / 100),
    floor=st.integers(0, 12),
    window=st.sampled_from(["1h", "6h", "24h"]),
)
CHANGES = st.lists(
    st.builds(
        Change,
        at=st.integers(0, 72).map(lambda hours: BEGIN + timedelta(hours=hours)),
        agent=st.integers(0, 40).map("a{}".format),
        kind=st.sampled_from(ChangeKind),
        groups_left=st.lists(st.sampled_from(GROUPS), unique=True).map(tuple),
    ),
    max_size=60,
)
SIZES = st.fixed_dictionaries({group: st.integers(0, 60) for group in GROUPS})


def most_apart(changes: list[Change], window: timedelta) -> int:
    """The most agents in any window, counted the slow way."""
    starts = [one.at for one in changes]
    return max((len({one.agent for one in changes if at <= one.at < at + window}) for at in starts), default=0)


@given(CHANGES, st.integers(0, 100), SIZES, LIMITS, st.randoms())
def test_any_order_of_changes_gives_the_same_verdict(
    changes: list[Change], size: int, sizes: dict[str, int], limits: GuardOptions, chance: object
) -> None:
    shuffled = changes[:]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert judge_roster(shuffled, size, sizes, limits) == judge_roster(changes, size, sizes, limits)


@given(CHANGES, st.integers(0, 100), SIZES, LIMITS)
def test_what_is_told_twice_counts_once(
    changes: list[Change], size: int, sizes: dict[str, int], limits: GuardOptions
) -> None:
    assert judge_roster(changes * 2, size, sizes, limits) == judge_roster(changes, size, sizes, limits)


@given(CHANGES, st.integers(0, 100), SIZES, LIMITS)
def test_it_trips_above_the_limits_of_roster_or_group_in_some_window_and_never_at_or_under_them(
    changes: list[Change], size: int, sizes: dict[str, int], limits: GuardOptions
) -> None:
    over = [
        size and most_apart([one for one in changes if one.kind is kind], limits.window) > threshold(size, limits)
        for kind in ChangeKind
    ]
    over += [
        sizes[group]
        and most_apart([one for one in changes if group in one.groups_left], limits.window)
        > threshold(sizes[group], limits)
        for group in GROUPS
    ]
    assert bool(judge_roster(changes, size, sizes, limits)) is any(over)


@given(st.integers(0, 2_000), st.integers(0, 2_000), LIMITS)
def test_targets_never_trip_at_or_under_the_share_or_the_floor(changed: int, known: int, limits: GuardOptions) -> None:
    tripped = judge_targets(changed, known, limits) is not None
    assert tripped == (known > 0 and changed > limits.floor and changed > known * Fraction(str(limits.share)))
