"""What the guard lets pass, what it stops, and what it says then."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.configuration.oversight import GuardOptions
from worker.core.guard import Change, ChangeKind, GuardTripped, judge_roster, judge_share, judge_targets, threshold

NIGHT = datetime(2026, 1, 31, 2, tzinfo=UTC)
LIMITS = GuardOptions()  # a fifth, and ten
HOUR = timedelta(hours=1)


def removed(count: int, at: datetime = NIGHT, *groups: str, first: int = 0) -> list[Change]:
    return [Change(at, f"a{number}", ChangeKind.REMOVED, groups) for number in range(first, first + count)]


def moved(count: int, *groups: str) -> list[Change]:
    return [Change(NIGHT, f"a{number}", ChangeKind.CHANGED, groups) for number in range(count)]


@pytest.mark.parametrize(
    ("known", "most"), [(0, 10), (10, 10), (49, 10), (50, 10), (54, 10), (55, 11), (100, 20), (1_000, 200)]
)
def test_a_share_may_change_rounded_down_and_never_less_than_the_floor(known: int, most: int) -> None:
    assert threshold(known, LIMITS) == most


def test_a_share_is_meant_as_it_is_written() -> None:
    assert [threshold(100, GuardOptions(share=percent / 100, floor=0)) for percent in range(1, 101)] == [*range(1, 101)]


@pytest.mark.parametrize(("count", "stopped"), [(20, False), (21, True), (100, True)])
def test_removals_pass_up_to_the_share_and_not_above_it(count: int, stopped: bool) -> None:  # noqa: FBT001 - a column
    assert bool(judge_roster(removed(count), 100, {}, LIMITS)) is stopped


@pytest.mark.parametrize("size", [1, 5, 10])
def test_a_whole_small_roster_may_leave_up_to_the_floor(size: int) -> None:
    assert judge_roster(removed(size), size, {"tier-1": size}, LIMITS) is None


def test_the_reason_has_the_numbers_the_share_the_floor_and_the_window() -> None:
    assert judge_roster(removed(30), 100, {}, LIMITS) == (
        "30 of 100 agents would leave, more than 20% of them and more than 10, within 1 d 0 h"
    )


def test_changes_and_removals_have_a_share_each() -> None:
    changed = [Change(NIGHT, f"b{number}", ChangeKind.CHANGED) for number in range(20)]
    assert judge_roster([*removed(20), *changed], 100, {}, LIMITS) is None


def test_a_group_that_is_left_counts_for_itself() -> None:
    away = moved(15, "night")
    assert judge_roster(away, 1_000, {"night": 500}, LIMITS) is None
    assert judge_roster(away, 1_000, {"night": 20}, LIMITS) == (
        "15 of 20 agents of the group 'night' would leave it, more than 20% of them and more than 10, within 1 d 0 h"
    )


def test_an_agent_who_changes_many_times_counts_once() -> None:
    assert judge_roster(removed(15) * 4, 80, {}, LIMITS) is None


def test_what_lies_further_apart_than_the_window_is_weighed_apart() -> None:
    first, later = removed(15), removed(15, NIGHT + 24 * HOUR, first=15)
    assert judge_roster([*first, *later], 100, {}, LIMITS) is None
    sooner = removed(15, NIGHT + 24 * HOUR - timedelta(microseconds=1), first=15)
    assert judge_roster([*first, *sooner], 100, {}, LIMITS) is not None


def test_nothing_known_is_nothing_guarded() -> None:
    assert judge_targets(5_000, 0, LIMITS) is None
    assert judge_roster(removed(50), 0, {}, LIMITS) is None


def test_targets_are_told_as_at_least_so_many() -> None:
    assert judge_targets(200, 1_000, LIMITS) is None
    assert judge_targets(201, 1_000, LIMITS) == (
        "at least 201 of 1,000 known targets would change, more than 20% of them and more than 10"
    )


def test_a_share_of_one_and_a_floor_of_nothing_are_taken_as_said() -> None:
    all_may = GuardOptions(share=1, floor=0)
    none_may = GuardOptions(share=0.0001, floor=0)
    assert judge_share(40, 40, "things", all_may) is None
    assert judge_share(1, 40, "things", none_may) is not None


def test_who_is_stopped_is_told_that_nothing_was_written_and_what_to_approve() -> None:
    tripped = GuardTripped("too much", 7)
    assert str(tripped) == "too much; nothing was written"
    assert (tripped.reason, tripped.approval_id) == ("too much", 7)
