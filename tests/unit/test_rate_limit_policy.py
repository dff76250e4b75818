"""What limits mean: how they are written, which are refused, and the arithmetic of windows and pace."""

import re
from datetime import timedelta

import pytest

from api_adapter.rate_limit.policy import (
    SLOTS,
    Policy,
    RateLimit,
    cooldown_for,
    last_slot_out,
    parse_rate_limit,
    slot_after,
    slot_leaves_at,
    slot_ms,
)

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20/second", [(20, SECOND)]),
        ("20/s", [(20, SECOND)]),
        (" 20 / Seconds ", [(20, SECOND)]),
        ("300 per minute", [(300, MINUTE)]),
        ("300 per 2 minutes", [(300, 2 * MINUTE)]),
        ("100/10s", [(100, timedelta(seconds=10))]),
        ("5/h", [(5, HOUR)]),
        ("1000/day", [(1000, DAY)]),
        ("7/2hours", [(7, 2 * HOUR)]),
        ("300/minute, 20/second", [(20, SECOND), (300, MINUTE)]),
        ("10/second,10/minute,10000/day", [(10, SECOND), (10, MINUTE), (10_000, DAY)]),
    ],
)
def test_a_rate_limit_is_read_as_people_write_it(text: str, expected: list[tuple[int, timedelta]]) -> None:
    assert parse_rate_limit(text) == tuple(RateLimit(*limit) for limit in expected)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' is no rate limit; write it like 20/second, 100/10s or 300 per minute"),
        ("20/second,", "'' is no rate limit"),
        ("fast", "'fast' is no rate limit"),
        ("20", "'20' is no rate limit"),
        ("1.5/second", "'1.5/second' is no rate limit"),
        ("٢/second", "is no rate limit"),
        ("20/second 300/minute", "is no rate limit"),
        ("20/fortnight", "'20/fortnight': unit 'fortnight' is unknown; second, minute, hour and day are known"),
        ("20/m", "unit 'm' is unknown"),  # minute or month?
        ("0/second", "'0/second': a limit of 0 requests allows nothing"),
        ("-5/second", "a limit of -5 requests allows nothing"),
        ("5/0s", "a window of 0:00:00 is outside"),
        ("5/-1s", "is outside"),
        ("5/60days", "a window of 60 days, 0:00:00 is outside"),
        ("5/99999999999999d", "'5/99999999999999d': "),
        ("20/second, 30/second", "two limits for a window of 0:00:01: 20 and 30"),
        ("20/second, 20/1s", "two limits for a window of 0:00:01"),
        ("60/60s, 60/minute", "two limits for a window of 0:01:00"),
        ("20/second, 10/minute", "20 in 0:00:01 can never be reached when 10 in 0:01:00 are allowed"),
    ],
)
def test_a_wrong_rate_limit_is_refused_with_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_rate_limit(text)


@pytest.mark.parametrize(
    ("limits", "in_flight", "reserve", "complaint"),
    [
        ((), 1, 0.0, "no rate limit is given"),
        ((RateLimit(1, SECOND),), 0, 0.0, "max_in_flight is 0"),
        ((RateLimit(1, SECOND),), 1, -0.1, "interactive_reserve is -0.1"),
        ((RateLimit(1, SECOND),), 1, 1.0, "a share from 0 to below 1"),
    ],
)
def test_a_policy_that_lets_nothing_through_is_refused(
    limits: tuple[RateLimit, ...], in_flight: int, reserve: float, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Policy(limits, in_flight, interactive_reserve=reserve)


def test_a_window_finer_than_the_clock_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole number of milliseconds"):
        RateLimit(1, timedelta(seconds=1, microseconds=1))


@pytest.mark.parametrize("window_ms", [10, 100, 999, 1000, 60_000, 3_600_000, 86_400_000])
def test_a_settlement_counts_at_least_a_window_and_hardly_longer(window_ms: int) -> None:
    for at in range(1_700_000_000_000, 1_700_000_000_000 + 3 * slot_ms(window_ms), max(1, slot_ms(window_ms) // 7)):
        leaves = slot_leaves_at(slot_after(at, window_ms), window_ms)
        assert at + window_ms < leaves <= at + window_ms + slot_ms(window_ms)
        assert last_slot_out(leaves - 1, window_ms) < slot_after(at, window_ms) <= last_slot_out(leaves, window_ms)
    assert window_ms / slot_ms(window_ms) <= SLOTS


@pytest.mark.parametrize(
    ("limit", "factor", "burst", "group_of_100"),
    [(1, 1.0, 1, 1), (20, 1.0, 5, 1), (100, 1.0, 25, 1), (1000, 1.0, 250, 10), (1000, 0.05, 12, 1)],
)
def test_burst_and_group_follow_the_limit(limit: int, factor: float, burst: int, group_of_100: int) -> None:
    policy = Policy((RateLimit(limit, SECOND),), 10)
    assert (policy.burst(factor), policy.group(100, factor)) == (burst, group_of_100)


@pytest.mark.parametrize(
    ("window_ms", "allowed", "reserve"),
    [(60_000, 1000, 20), (60_000, 49, 0), (5_000, 100, 2), (4_999, 100, 0), (1_000, 1000, 0)],
)
def test_a_share_of_what_is_not_soon_free_again_is_reserved(window_ms: int, allowed: int, reserve: int) -> None:
    assert Policy((RateLimit(100, SECOND),), 10).reserve(window_ms, allowed) == reserve


def test_the_shortest_window_sets_the_pace() -> None:
    assert Policy(parse_rate_limit("300/minute, 20/second"), 10).pace(0.5) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        (None, SECOND),
        (timedelta(0), timedelta(0)),
        (-MINUTE, timedelta(0)),
        (MINUTE, MINUTE),
        (DAY, DAY),
        (2 * DAY, DAY),
    ],
)
def test_a_cooldown_is_what_the_remote_asked_for_within_reason(retry_after: timedelta | None, wait: timedelta) -> None:
    assert cooldown_for(retry_after) == wait
