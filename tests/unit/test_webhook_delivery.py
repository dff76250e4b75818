"""What an answer means for the delivery, and for the endpoint."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.delivery import (
    FIRST_PROBE,
    JITTER,
    LONGEST_WAIT,
    OPENS_AFTER,
    PATIENCE,
    SCHEDULE,
    SLOWEST_PROBE,
    Delivered,
    Health,
    Observed,
    Reply,
    SetAside,
    TryAgain,
    decide,
    observe,
)

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
OK, REFUSED, GONE = Reply(200), Reply(500), Reply(410)
SILENT = Reply(error="no usable answer: out of time")


def half() -> float:
    return 0.5


WELL = Health()


def failing(times: int, health: Health = WELL, *, at: datetime = NOW) -> Health:
    for _ in range(times):
        health = observe(health, REFUSED, at).health
    return health


# The delivery


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_success_is_a_delivery_at_any_attempt(status: int) -> None:
    for attempts in (0, 9, 99):
        assert decide(Reply(status), attempts, half) == Delivered()


@pytest.mark.parametrize("status", [100, 199, 300, 302, 308, 400, 401, 404, 408, 413, 429, 500, 502, 503, 599, None])
def test_anything_else_is_tried_again(status: int | None) -> None:
    assert decide(Reply(status), 0, half) == TryAgain(5 * SECOND)


def test_it_is_tried_ten_times_over_about_three_days() -> None:
    waits = [decide(SILENT, attempts, half) for attempts in range(len(SCHEDULE))]
    assert [wait.after for wait in waits if isinstance(wait, TryAgain)] == list(SCHEDULE)
    assert list(accumulate(SCHEDULE))[-1] == timedelta(days=3, hours=3, minutes=35, seconds=5)
    assert list(SCHEDULE) == sorted(SCHEDULE)


def test_after_the_last_it_is_set_aside_with_the_last_answer() -> None:
    assert decide(REFUSED, 9, half) == SetAside("gave up after 10 attempts; the last: it answered 500")
    assert decide(SILENT, 9, half) == SetAside("gave up after 10 attempts; the last: no usable answer: out of time")


@given(st.integers(0, len(SCHEDULE) - 1), st.floats(0, 1, exclude_max=True))
def test_the_wait_is_the_schedules_within_a_tenth(attempts: int, drawn: float) -> None:
    decision = decide(REFUSED, attempts, lambda: drawn)
    assert isinstance(decision, TryAgain)
    planned = SCHEDULE[attempts]
    assert planned * (1 - JITTER) <= decision.after <= planned * (1 + JITTER)


def test_the_jitter_is_used_to_its_ends() -> None:
    assert decide(REFUSED, 1, lambda: 0.0) == TryAgain(270 * SECOND)
    assert decide(REFUSED, 1, lambda: 1.0) == TryAgain(330 * SECOND)


@pytest.mark.parametrize(
    ("status", "asked", "waits"),
    [
        (429, 2 * MINUTE, 2 * MINUTE),
        (503, HOUR, HOUR),
        (503, SECOND, 5 * SECOND),  # shorter than the schedule's own
        (503, 30 * DAY, DAY),  # nobody is put off for longer
        (429, None, 5 * SECOND),
        (500, HOUR, 5 * SECOND),  # says something else there
        (404, HOUR, 5 * SECOND),
        (301, HOUR, 5 * SECOND),
    ],
)
def test_a_wait_that_is_asked_for_is_kept(status: int, asked: timedelta | None, waits: timedelta) -> None:
    assert decide(Reply(status, retry_after=asked), 0, half) == TryAgain(waits)
    assert LONGEST_WAIT == DAY


def test_an_endpoint_that_is_gone_gets_it_no_second_time() -> None:
    for attempts in (0, 9):
        assert decide(GONE, attempts, half) == SetAside("the endpoint is gone (410)")


# The endpoint


def test_success_makes_an_endpoint_as_good_as_new() -> None:
    assert observe(failing(9), OK, NOW) == Observed(Health())
    assert observe(Health(), OK, NOW) == Observed(Health())


def test_success_ends_no_wait_that_was_asked_for_but_the_pause_of_an_open_circuit() -> None:
    asked = observe(Health(), Reply(503, retry_after=HOUR), NOW).health
    assert observe(asked, OK, NOW + MINUTE) == Observed(Health(held_until=NOW + HOUR))
    assert observe(asked, OK, NOW + HOUR) == Observed(Health())
    opened = failing(OPENS_AFTER)
    assert observe(opened, OK, NOW) == Observed(Health())


def test_a_first_failure_pauses_nothing() -> None:
    observed = observe(Health(), REFUSED, NOW)
    assert observed == Observed(Health(failures=1, failing_since=NOW, held_until=NOW))
    assert not observed.health.is_open


def test_the_circuit_opens_after_a_run_of_failures_and_not_before() -> None:
    before = failing(OPENS_AFTER - 1)
    assert not before.is_open
    assert before.held_until == NOW
    after = failing(1, before)
    assert after.is_open
    assert after.held_until == NOW + FIRST_PROBE


def test_a_success_in_between_begins_the_run_anew() -> None:
    health = observe(failing(OPENS_AFTER - 1), OK, NOW).health
    assert not failing(OPENS_AFTER - 1, health).is_open


def test_each_probe_that_fails_doubles_the_pause_up_to_a_quarter_of_an_hour() -> None:
    health, pauses = failing(OPENS_AFTER), []
    for _ in range(12):
        assert health.held_until
        at = health.held_until
        health = observe(health, REFUSED, at).health
        assert health.held_until
        pauses.append(health.held_until - at)
    assert pauses[:6] == [30 * SECOND, MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, SLOWEST_PROBE]
    assert set(pauses[5:]) == {SLOWEST_PROBE} == {15 * MINUTE}


def test_a_probe_that_is_taken_closes_the_circuit() -> None:
    observed = observe(failing(OPENS_AFTER), OK, NOW + FIRST_PROBE)
    assert not observed.health.is_open
    assert observed.health.held_until is None


def test_failures_that_were_under_way_when_it_opened_lengthen_no_pause() -> None:
    opened = failing(OPENS_AFTER)
    late = failing(50, opened, at=NOW + SECOND)
    assert late == opened


def test_of_those_under_way_a_wait_that_is_asked_for_counts() -> None:
    observed = observe(failing(OPENS_AFTER), Reply(503, retry_after=HOUR), NOW + SECOND)
    assert observed.health.failures == OPENS_AFTER
    assert observed.health.held_until == NOW + SECOND + HOUR


def test_a_wait_that_is_asked_for_holds_the_whole_endpoint_and_no_later_answer_shortens_it() -> None:
    held = observe(Health(), Reply(429, retry_after=10 * MINUTE), NOW).health
    assert held.held_until == NOW + 10 * MINUTE
    assert not held.is_open
    assert observe(held, Reply(429, retry_after=SECOND), NOW + SECOND).health.held_until == NOW + 10 * MINUTE
    assert observe(held, Reply(500, retry_after=HOUR), NOW + SECOND).health.held_until == NOW + 10 * MINUTE
    assert observe(held, Reply(429, retry_after=9 * DAY), NOW).health.held_until == NOW + DAY


@pytest.mark.parametrize(("percent", "told"), [(49, None), (50, 50), (69, None), (70, 70), (90, 90), (99, None)])
def test_it_is_warned_of_at_half_of_the_patience_and_on(percent: int, told: int | None) -> None:
    before = max((mark for mark in (50, 70, 90) if mark < percent), default=0)
    health = Health(failures=3, failing_since=NOW, warned=before)
    observed = observe(health, REFUSED, NOW + PATIENCE * percent / 100)
    assert observed.warning == told
    assert observed.disable is None


def test_each_warning_is_told_once_and_one_that_was_passed_over_is_not_told_later() -> None:
    health, told = Health(), []
    for hours in range(0, 120, 2):
        observed = observe(health, REFUSED, NOW + hours * HOUR)
        health = observed.health
        told += [observed.warning] if observed.warning else []
    assert told == [50, 70, 90]
    late = observe(Health(failures=1, failing_since=NOW), REFUSED, NOW + PATIENCE * 0.95)
    assert (late.warning, late.health.warned) == (90, 90)


def test_an_endpoint_that_has_taken_nothing_for_five_days_is_disabled() -> None:
    health = Health(failures=400, failing_since=NOW, warned=90)
    almost = observe(health, REFUSED, NOW + PATIENCE - SECOND)
    assert (almost.disable, almost.health.disabled_at) == (None, None)
    at = NOW + PATIENCE
    observed = observe(health, SILENT, at)
    assert observed.disable == "it has failed for 5 days; the last: no usable answer: out of time"
    assert (observed.warning, observed.health.disabled_at, PATIENCE) == (100, at, 5 * DAY)


def test_one_success_within_the_five_days_begins_them_anew() -> None:
    health = observe(Health(failures=400, failing_since=NOW, warned=90), OK, NOW + 4 * DAY).health
    observed = observe(health, REFUSED, NOW + 6 * DAY)
    assert (observed.disable, observed.warning, observed.health.failing_since) == (None, None, NOW + 6 * DAY)


def test_an_endpoint_that_says_it_is_gone_is_disabled_at_once() -> None:
    observed = observe(Health(), GONE, NOW)
    assert observed.disable == "it answered 410 Gone"
    assert (observed.health.disabled_at, observed.health.failing_since, observed.warning) == (NOW, None, None)


def test_what_a_disabled_endpoint_takes_again_is_a_recovery_told_once() -> None:
    resumed = Health(disabled_at=NOW)
    failed = observe(resumed, REFUSED, NOW + HOUR)
    assert failed.recovered_from is None
    recovered = observe(failed.health, OK, NOW + 2 * HOUR)
    assert recovered.recovered_from == NOW
    assert observe(recovered.health, OK, NOW + 3 * HOUR).recovered_from is None


def test_a_clock_that_was_set_back_disables_nothing() -> None:
    health = Health(failures=3, failing_since=NOW)
    observed = observe(health, REFUSED, NOW - 9 * DAY)
    assert (observed.disable, observed.warning, observed.health.failing_since) == (None, None, NOW)


@given(st.lists(st.sampled_from([OK, REFUSED, SILENT, Reply(503, retry_after=HOUR)]), max_size=40))
def test_an_endpoint_is_as_good_as_new_or_fails_or_is_held_as_it_asked_for_and_never_for_more_than_a_day(
    answers: list[Reply],
) -> None:
    health = Health()
    for number, answer in enumerate(answers):
        now = NOW + number * MINUTE
        health = observe(health, answer, now).health
        assert (health.failing_since is None) is answer.succeeded
        assert health.held_until is None or now <= health.held_until <= now + DAY
    assert replace(health, held_until=None) == Health() or health.failures >= 1


def test_words_say_why_it_is_no_success() -> None:
    assert REFUSED.words == "it answered 500"
    assert SILENT.words == "no usable answer: out of time"
    assert replace(OK, error="cut off").words == "cut off"
