"""What any limiter promises, claimed of the twin and of the one on Redis alike."""

from datetime import timedelta

import pytest

from api_adapter.rate_limit.permits import Permit, RateLimiter, Settled, Usage, Why
from api_adapter.rate_limit.policy import History, Policy, RateLimit
from schemas.lanes import Lane
from tests.services.limiters import Bench

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
COLD = 2.1  # a forgotten short window is waited for: a permit's time to be used, and the window


def policy(*limits: tuple[int, timedelta], in_flight: int = 1000, reserve: float = 0.0) -> Policy:
    return Policy(tuple(RateLimit(*limit) for limit in limits), in_flight, interactive_reserve=reserve)


def warm(bench: Bench, given: Policy) -> RateLimiter:
    """A limiter whose short windows are known, that has idled long enough to grant a burst."""

    async def nothing_sent() -> History:
        return History({limit.window: 0 for limit in given.limits})

    limiter = bench.limiter(given, seed=nothing_sent)
    bench.settle(limiter)
    bench.advance(COLD)
    return limiter


def drain(
    bench: Bench, limiter: RateLimiter, seconds: float, *, lane: Lane = Lane.BULK, want: int = 1000
) -> list[Permit]:
    """Ask, settle at once, and come back when told to, for so many seconds."""
    granted: list[Permit] = []
    settled: list[Settled] = []
    end = bench.clock.now + seconds
    while bench.clock.now < end:
        grant = bench.ask(limiter, want, settled, lane=lane)
        granted += grant.permits
        settled = [Settled(permit) for permit in grant.permits]
        bench.advance(min(grant.retry_in.total_seconds() or 0.01, end - bench.clock.now) or 0.001)
    bench.settle(limiter, *settled)
    return granted


def in_use(usage: Usage) -> list[int]:
    return [window.used for window in usage.windows]


# windows


def test_work_that_waits_uses_the_whole_limit_and_no_more(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    drain(bench, limiter, 1)
    assert 294 <= len(drain(bench, limiter, 3)) <= 300


def test_the_longer_window_holds_when_the_shorter_has_room(bench: Bench) -> None:
    limiter = warm(bench, policy((20, SECOND), (50, MINUTE)))
    assert len(drain(bench, limiter, 30)) == 50
    refused = bench.ask(limiter, 1)
    assert refused.why is Why.WINDOW
    assert 20 < refused.retry_in.total_seconds() < 60


def test_asking_again_when_told_to_is_answered(bench: Bench) -> None:
    limiter = warm(bench, policy((1, timedelta(seconds=10))))
    bench.advance(20)
    (permit,) = bench.ask(limiter, 1).permits
    bench.advance(0.4)
    refused = bench.ask(limiter, 1, [Settled(permit)])
    bench.advance(refused.retry_in.total_seconds() - 0.001)
    assert not bench.ask(limiter, 1).permits
    bench.advance(0.001)
    assert bench.ask(limiter, 1).permits


def test_a_permit_under_way_may_be_told_late_and_is_asked_for_a_window_after_its_grant(bench: Bench) -> None:
    limiter = warm(bench, policy((2, SECOND)))
    (under_way,) = bench.ask(limiter, 1).permits
    ended = bench.clock()
    bench.advance(0.6)
    (other,) = bench.ask(limiter, 1).permits
    refused = bench.ask(limiter, 1, [Settled(other)])
    assert refused.why is Why.WINDOW
    assert refused.retry_in.total_seconds() == pytest.approx(0.4, abs=0.01)
    bench.advance(refused.retry_in.total_seconds() + 0.005)
    assert bench.ask(limiter, 1, [Settled(under_way, ended=ended)]).permits


def test_a_permit_counts_from_its_grant_until_a_window_after_its_settlement(bench: Bench) -> None:
    limiter = warm(bench, policy((4, SECOND)))
    (permit,) = bench.ask(limiter, 1).permits
    bench.advance(5)
    assert in_use(bench.usage(limiter)) == [1]
    bench.settle(limiter, Settled(permit))
    bench.advance(0.999)
    assert in_use(bench.usage(limiter)) == [1]
    bench.advance(0.005)
    assert in_use(bench.usage(limiter)) == [0]


def test_a_settlement_handed_in_late_counts_from_when_the_answer_came(bench: Bench) -> None:
    limiter = warm(bench, policy((4, SECOND)))
    (permit,) = bench.ask(limiter, 1).permits
    ended = bench.clock()
    bench.advance(0.7)
    bench.settle(limiter, Settled(permit, ended=ended))
    bench.advance(0.305)
    assert in_use(bench.usage(limiter)) == [0]


def test_an_unused_permit_is_given_back_fully(bench: Bench) -> None:
    limiter = warm(bench, policy((1, HOUR)))
    bench.advance(3600)
    (permit,) = bench.ask(limiter, 1).permits
    assert len(bench.ask(limiter, 1, [Settled(permit, sent=False)]).permits) == 1


def test_a_large_limit_is_remembered_in_few_entries(bench: Bench) -> None:
    limiter = warm(bench, policy((100_000, HOUR), in_flight=100_000))
    for _ in range(520):
        grant = bench.ask(limiter, 20)
        bench.settle(limiter, *(Settled(permit) for permit in grant.permits))
        bench.advance(7.5)
    assert 470 <= bench.entries() <= 502
    assert in_use(bench.usage(limiter)) == pytest.approx([480 * 20], rel=0.01)


# permits under way


def test_no_more_than_the_cap_are_under_way(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND), in_flight=3))
    first = bench.ask(limiter, 5)
    assert (len(first.permits), first.why) == (3, Why.IN_FLIGHT)
    assert len(bench.ask(limiter, 5, [Settled(first.permits[0])]).permits) == 1


def test_the_permits_of_a_killed_worker_count_as_settled_when_their_lifetime_ends(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND), in_flight=3))
    bench.ask(limiter, 3)
    bench.advance(9.999)
    assert bench.ask(limiter, 1).why is Why.IN_FLIGHT
    bench.advance(0.001)
    assert bench.ask(limiter, 1).permits
    assert in_use(bench.usage(limiter)) == [4]
    bench.advance(1.1)
    assert in_use(bench.usage(limiter)) == [1]


def test_settling_a_permit_again_changes_nothing(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    one, other = bench.ask(limiter, 2).permits
    bench.settle(limiter, Settled(one), Settled(one))
    bench.settle(limiter, Settled(one), Settled(one, sent=False))
    assert (in_use(bench.usage(limiter)), bench.usage(limiter).in_flight) == ([2], 1)
    bench.settle(limiter, Settled(other, sent=False), Settled(other, sent=False))
    assert (in_use(bench.usage(limiter)), bench.usage(limiter).in_flight) == ([1], 0)


def test_a_permit_is_void_a_second_after_it_was_asked_for(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    assert bench.ask(limiter, 1).permits[0].use_before == pytest.approx(bench.clock() + 1, abs=0.001)


# pace


def test_after_idling_at_most_a_quarter_of_the_limit_goes_at_once(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    bench.advance(60)
    grant = bench.ask(limiter, 100)
    assert (len(grant.permits), grant.why) == (25, Why.PACE)


def test_permits_come_evenly(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    bench.ask(limiter, 25)
    assert [len(drain(bench, limiter, 0.1)) for _ in range(5)] == pytest.approx([10] * 5, abs=1)


def test_a_fast_limit_is_asked_for_in_groups(bench: Bench) -> None:
    limiter = warm(bench, policy((1000, SECOND)))
    bench.ask(limiter, 1000)
    grant = bench.ask(limiter, 1000)
    assert grant.retry_in >= timedelta(milliseconds=10)
    bench.advance(grant.retry_in.total_seconds())
    assert len(bench.ask(limiter, 1000).permits) >= 10


def test_asking_a_moment_late_loses_nothing(bench: Bench) -> None:
    limiter = warm(bench, policy((2, SECOND)))
    bench.advance(10)
    total = 0
    for _ in range(20):
        grant = bench.ask(limiter, 1)
        total += len(grant.permits)
        bench.settle(limiter, *(Settled(permit) for permit in grant.permits))
        bench.advance(0.55)
    assert total == 20


# lanes


def test_bulk_leaves_the_reserve_to_the_interactive_lane(bench: Bench) -> None:
    limiter = warm(bench, policy((100, MINUTE), reserve=0.05))
    assert len(drain(bench, limiter, 59)) == 95
    refused = bench.ask(limiter, 1)
    assert refused.why is Why.RESERVED
    assert len(drain(bench, limiter, 0.1, lane=Lane.INTERACTIVE)) == 5


def test_a_reserve_of_less_than_one_request_reserves_nothing(bench: Bench) -> None:
    limiter = warm(bench, policy((20, MINUTE), reserve=0.02))
    assert len(drain(bench, limiter, 59)) == 20


def test_an_interactive_asker_that_cannot_wait_so_long_keeps_bulk_neither_polling_nor_waiting(bench: Bench) -> None:
    limiter = warm(bench, policy((100, HOUR)))
    drain(bench, limiter, 3000, lane=Lane.INTERACTIVE)
    refused = bench.ask(limiter, 1, lane=Lane.INTERACTIVE)
    assert refused.retry_in > timedelta(seconds=10)
    assert bench.ask(limiter, 1).retry_in > timedelta(seconds=9), "no polling while nothing can come"
    bench.advance(3.1)
    assert bench.ask(limiter, 1).why is not Why.RESERVED


def test_while_the_rate_recovers_a_used_up_window_is_worth_another_look_within_a_second(bench: Bench) -> None:
    limiter = warm(bench, policy((20, SECOND), (1000, HOUR)))
    permits = drain(bench, limiter, 39)
    bench.settle(limiter, Settled(permits[-1], throttled=True, retry_after=None))
    bench.advance(1)
    refused = bench.ask(limiter, 1)
    assert not refused.permits
    assert refused.retry_in <= SECOND


def test_of_a_short_window_nothing_is_reserved(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND), reserve=0.05))
    assert len(drain(bench, limiter, 0.9)) == 100


def test_bulk_gets_nothing_while_an_interactive_asker_waits(bench: Bench) -> None:
    limiter = warm(bench, policy((10, SECOND)))
    bench.ask(limiter, 10)
    waiting = bench.ask(limiter, 1, lane=Lane.INTERACTIVE)
    assert waiting.why is Why.PACE
    assert bench.usage(limiter).waiting_interactive
    bench.advance(0.2)
    assert bench.ask(limiter, 1).why is Why.RESERVED
    assert bench.ask(limiter, 1, lane=Lane.INTERACTIVE).permits
    bench.advance(0.1)
    assert bench.ask(limiter, 1).permits


def test_an_interactive_asker_that_fell_silent_stops_nobody_for_long(bench: Bench) -> None:
    limiter = warm(bench, policy((10, SECOND)))
    bench.ask(limiter, 10)
    bench.ask(limiter, 1, lane=Lane.INTERACTIVE)
    bench.advance(1.2)
    assert bench.ask(limiter, 1).permits


# cooldown and rate


def test_one_throttled_answer_stops_everybody_until_retry_after_has_passed(bench: Bench) -> None:
    given = policy((100, SECOND))
    limiter = warm(bench, given)
    other = bench.limiter(given)
    (permit,) = bench.ask(limiter, 1).permits
    bench.settle(limiter, Settled(permit, throttled=True, retry_after=timedelta(seconds=7)))
    bench.advance(2)
    refused = bench.ask(other, 1, lane=Lane.INTERACTIVE)
    assert (refused.why, refused.retry_in) == (Why.COOLDOWN, timedelta(seconds=5))
    bench.advance(4.999)
    assert bench.ask(other, 1, lane=Lane.INTERACTIVE).why is Why.COOLDOWN
    bench.advance(0.011)
    assert len(bench.ask(other, 100, lane=Lane.INTERACTIVE).permits) == 1  # paced from zero, no burst


def test_permits_given_back_during_a_cooldown_make_no_burst_after_it(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    first, *unused = bench.ask(limiter, 10).permits
    bench.settle(limiter, Settled(first, throttled=True, retry_after=timedelta(seconds=5)))
    bench.settle(limiter, *(Settled(permit, sent=False) for permit in unused))
    bench.advance(5)
    assert bench.ask(limiter, 10).why is Why.PACE
    assert bench.usage(limiter).in_flight == 0


def test_the_longest_cooldown_counts_and_none_is_longer_than_a_day(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    one, two, three = bench.ask(limiter, 3).permits
    for permit, wait in ((one, 60), (two, 5)):
        bench.settle(limiter, Settled(permit, throttled=True, retry_after=timedelta(seconds=wait)))
    assert bench.usage(limiter).cooldown == timedelta(seconds=60)
    bench.settle(limiter, Settled(three, throttled=True, retry_after=timedelta(days=2)))
    assert bench.usage(limiter).cooldown == timedelta(days=1)
    bench.advance(86_399)
    assert bench.ask(limiter, 1).why is Why.COOLDOWN


def test_the_wait_counts_from_the_answer_however_late_it_is_handed_in(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    (permit,) = bench.ask(limiter, 1).permits
    throttled = Settled(permit, throttled=True, retry_after=timedelta(seconds=30), ended=bench.clock())
    bench.advance(20)
    bench.settle(limiter, throttled)  # after its lifetime: the count is closed, the wait still holds
    assert bench.usage(limiter).cooldown.total_seconds() == pytest.approx(10, abs=0.002)


@pytest.mark.parametrize(
    ("microseconds", "later", "left"), [(1, 0, 1), (1_000, 0, 1), (1_001, 0, 2), (2_500, 300, 3), (2_500, 900, 3)]
)
def test_a_part_of_a_millisecond_lengthens_a_wait_and_never_shortens_it(
    bench: Bench, microseconds: int, later: int, left: int
) -> None:
    """Such waits come from ``Retry-After`` with a date. ``later``: the answer came so many microseconds before now."""
    limiter = warm(bench, policy((100, SECOND)))
    (permit,) = bench.ask(limiter, 1).permits
    wait, ended = timedelta(microseconds=microseconds), bench.clock() - later / 1_000_000
    bench.settle(limiter, Settled(permit, throttled=True, retry_after=wait, ended=ended))
    assert bench.ask(limiter, 1).retry_in == timedelta(milliseconds=left)


def test_a_part_of_a_millisecond_of_what_is_left_of_a_wait_is_kept_too(bench: Bench) -> None:
    async def seed() -> History:
        return History({SECOND: 0}, cooldown=timedelta(seconds=30, microseconds=1))

    limiter = bench.limiter(policy((100, SECOND)), seed=seed)
    assert bench.ask(limiter, 1).retry_in == timedelta(seconds=30, milliseconds=1)


def test_isolated_throttling_only_cools_down(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    (permit,) = bench.ask(limiter, 1).permits
    bench.settle(limiter, Settled(permit, throttled=True, retry_after=SECOND))
    assert bench.usage(limiter).rate_factor == 1.0


def test_throttling_without_a_wait_cools_down_shortly_and_cuts_the_rate(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    (permit,) = bench.ask(limiter, 1).permits
    bench.settle(limiter, Settled(permit, throttled=True))
    assert bench.usage(limiter).rate_factor == pytest.approx(0.7)
    assert bench.usage(limiter).cooldown == SECOND


def test_a_small_share_of_throttled_answers_is_not_sustained(bench: Bench) -> None:
    limiter = warm(bench, policy((1000, SECOND)))
    permits = bench.ask(limiter, 250).permits
    bench.settle(limiter, *(Settled(permit) for permit in permits[2:]))
    for permit in permits[:2]:
        bench.settle(limiter, Settled(permit, throttled=True, retry_after=SECOND))
    assert bench.usage(limiter).rate_factor == 1.0


def test_sustained_throttling_cuts_the_rate_once_a_second_down_to_a_floor(bench: Bench) -> None:
    limiter = warm(bench, policy((1000, SECOND)))
    permits = iter(bench.ask(limiter, 250).permits)
    factors = []
    for _ in range(8):
        for _ in range(3):
            bench.settle(limiter, Settled(next(permits), throttled=True, retry_after=HOUR))
        factors.append(bench.usage(limiter).rate_factor)
        bench.advance(1)
    assert factors == pytest.approx([0.7**cut for cut in range(1, 9)])
    for _ in range(30):
        bench.settle(limiter, Settled(next(permits), throttled=True))
    for _ in range(10):
        bench.advance(0.1)
        bench.settle(limiter, Settled(next(permits), throttled=True))
    assert bench.usage(limiter).rate_factor == pytest.approx(0.05, abs=0.01)


def test_the_rate_recovers_linearly_once_the_cooldown_is_over(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    (permit,) = bench.ask(limiter, 1).permits
    bench.settle(limiter, Settled(permit, throttled=True))
    bench.advance(1)
    factors = []
    for _ in range(4):
        factors.append(bench.usage(limiter).rate_factor)
        bench.advance(5)
    assert factors == pytest.approx([0.7, 0.8, 0.9, 1.0], abs=0.001)


def test_a_cut_rate_slows_the_pace_and_narrows_the_windows(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    (permit,) = bench.ask(limiter, 1).permits
    bench.settle(limiter, Settled(permit, throttled=True))
    bench.advance(1)
    assert 65 <= len(drain(bench, limiter, 1)) <= 75


# a cooldown that a person forgets


def test_a_cooldown_that_is_forgotten_holds_nobody_up_and_there_is_no_burst(bench: Bench) -> None:
    limiter, other = warm(bench, policy((100, SECOND))), bench.limiter(policy((100, SECOND)))
    (permit,) = bench.ask(limiter, 1).permits
    bench.settle(limiter, Settled(permit, throttled=True, retry_after=5 * HOUR))
    bench.advance(60)
    assert bench.forget_cooldown(other) == 5 * HOUR - MINUTE
    assert bench.usage(limiter).cooldown == timedelta(0)
    assert bench.ask(limiter, 1).why is Why.PACE
    bench.advance(0.1)
    assert len(bench.ask(limiter, 100).permits) == 10


def test_a_cooldown_that_is_forgotten_leaves_all_that_is_counted(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND), (100, HOUR), in_flight=20))
    bench.advance(3600)
    throttled, *others = bench.ask(limiter, 20).permits
    bench.settle(limiter, Settled(throttled, throttled=True, retry_after=5 * HOUR))
    bench.forget_cooldown(limiter)
    assert in_use(bench.usage(limiter)) == [20, 20]
    assert bench.usage(limiter).in_flight == 19
    bench.advance(1)
    assert len(bench.ask(limiter, 20, [Settled(others[0])]).permits) == 2, "in flight 18 of 20"


def test_a_rate_that_was_cut_stays_cut_and_recovers_from_when_the_cooldown_is_forgotten(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    for permit in bench.ask(limiter, 3).permits:
        bench.settle(limiter, Settled(permit, throttled=True, retry_after=5 * HOUR))
    bench.advance(60)
    bench.forget_cooldown(limiter)
    assert bench.usage(limiter).rate_factor == pytest.approx(0.7)
    bench.advance(5)
    assert bench.usage(limiter).rate_factor == pytest.approx(0.8, abs=0.001)


def test_bulk_waits_for_no_interactive_asker_whom_a_forgotten_cooldown_had_sent_away(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    (permit,) = bench.ask(limiter, 1).permits
    bench.settle(limiter, Settled(permit, throttled=True, retry_after=5 * HOUR))
    assert bench.ask(limiter, 1, lane=Lane.INTERACTIVE).why is Why.COOLDOWN
    bench.forget_cooldown(limiter)
    bench.advance(0.1)
    assert not bench.usage(limiter).waiting_interactive
    assert bench.ask(limiter, 1).permits


def test_where_there_is_no_cooldown_nothing_is_forgotten(bench: Bench) -> None:
    limiter = bench.limiter(policy((100, SECOND)))
    assert bench.forget_cooldown(limiter) == timedelta(0), "without a memory"
    limiter = warm(bench, policy((100, SECOND)))
    tokens = len(bench.ask(limiter, 10).permits)
    assert bench.forget_cooldown(limiter) == timedelta(0)
    assert in_use(bench.usage(limiter)) == [tokens]
    assert bench.ask(limiter, 5).permits


def test_an_answer_after_a_forgotten_cooldown_begins_another(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    first, second = bench.ask(limiter, 2).permits
    bench.settle(limiter, Settled(first, throttled=True, retry_after=5 * HOUR))
    bench.forget_cooldown(limiter)
    bench.advance(0.5)
    bench.settle(limiter, Settled(second, throttled=True, retry_after=MINUTE))
    assert bench.usage(limiter).cooldown == MINUTE


# memory


def test_a_limiter_that_knows_nothing_waits_for_a_window_in_which_nothing_old_can_arrive(bench: Bench) -> None:
    limiter = bench.limiter(policy((100, SECOND)))
    first = bench.ask(limiter, 10)
    assert (first.permits, first.why) == ((), Why.COLD)
    assert 1.9 < first.retry_in.total_seconds() < 2.1
    bench.advance(first.retry_in.total_seconds())
    assert len(bench.ask(limiter, 10).permits) == 10


def test_a_long_window_starts_with_what_the_seed_counted(bench: Bench) -> None:
    async def seed() -> History:
        return History({MINUTE: 70})

    limiter = bench.limiter(policy((100, SECOND), (100, MINUTE)), seed=seed)
    bench.settle(limiter)
    bench.advance(COLD)
    assert len(drain(bench, limiter, 50)) == 30


def test_a_long_window_without_a_seed_is_full(bench: Bench) -> None:
    limiter = bench.limiter(policy((100, SECOND), (100, MINUTE)))
    bench.settle(limiter)
    bench.advance(COLD)
    refused = bench.ask(limiter, 1)
    assert refused.why is Why.COLD
    assert refused.retry_in.total_seconds() > 55


def test_a_cooldown_outlives_the_memory_where_the_seed_knows_of_it(bench: Bench) -> None:
    async def seed() -> History:
        return History(cooldown=timedelta(seconds=COLD + 5))

    limiter = bench.limiter(policy((100, SECOND)), seed=seed)
    bench.settle(limiter)
    bench.advance(COLD)
    refused = bench.ask(limiter, 1)
    assert (refused.why, refused.retry_in.total_seconds()) == (Why.COOLDOWN, pytest.approx(5, abs=0.01))
    bench.advance(5.1)
    assert bench.ask(limiter, 1).permits


def test_a_permit_settled_after_the_memory_was_lost_counts(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    sent, unused = bench.ask(limiter, 2).permits
    bench.forget()
    bench.settle(limiter)
    bench.advance(COLD)
    bench.settle(limiter, Settled(sent), Settled(unused, sent=False))
    assert in_use(bench.usage(limiter)) == [1]


def test_an_idle_week_is_shorter_than_the_memory(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND), (1000, HOUR)))
    bench.advance(6 * 24 * 3600)
    assert bench.ask(limiter, 1).permits


def test_a_changed_policy_applies_at_once_and_forgets_nothing(bench: Bench) -> None:
    limiter = warm(bench, policy((100, MINUTE)))
    bench.advance(60)
    drain(bench, limiter, 0.1)
    changed = bench.limiter(policy((40, MINUTE)))
    used = in_use(bench.usage(changed))
    assert used[0] >= 25
    assert len(drain(bench, changed, 59)) == 40 - used[0]


def test_a_window_new_in_the_policy_is_cold_and_the_others_are_not(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND)))
    bench.ask(limiter, 1)
    changed = bench.limiter(policy((100, SECOND), (100, MINUTE)))
    assert bench.ask(changed, 1).why is Why.COLD
    assert in_use(bench.usage(changed)) == [1, 101]
    assert bench.ask(bench.limiter(policy((100, SECOND))), 1).permits


def test_usage_names_limits_and_what_is_left(bench: Bench) -> None:
    limiter = warm(bench, policy((100, SECOND), (1000, HOUR), in_flight=7))
    bench.ask(limiter, 2)
    usage = bench.usage(limiter)
    assert [(window.limit, window.window, window.used) for window in usage.windows] == [
        (100, SECOND, 2),
        (1000, HOUR, 2),
    ]
    assert (usage.in_flight, usage.max_in_flight, usage.rate_factor, usage.cooldown) == (2, 7, 1.0, timedelta(0))
    assert not usage.waiting_interactive
