"""Retries are paid for by first tries, and a few by time."""

from dataclasses import dataclass

import pytest

from worker.core.retry_budget import RESERVE, RetryBudget


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def spend(budget: RetryBudget, tries: int = 10_000) -> int:
    return sum(budget.may_retry() for _ in range(tries))


def test_an_outage_costs_a_fifth_of_the_first_tries_and_the_reserve() -> None:
    budget = RetryBudget(clock=Clock())
    for _ in range(200):
        budget.first_try()
    assert spend(budget) == 200 * 0.2 + RESERVE


def test_a_long_peace_earns_no_storm() -> None:
    budget = RetryBudget(clock=Clock())
    for _ in range(100_000):
        budget.first_try()
    assert spend(budget) == pytest.approx(100)


def test_the_last_retries_of_a_backlog_go_out_though_no_first_try_is_left_to_pay() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock)
    assert spend(budget) == RESERVE
    assert not budget.may_retry()
    sent = 0
    for _ in range(60):
        clock.now += 1
        sent += spend(budget)
    assert sent == 60


def test_time_fills_the_reserve_and_no_more() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock)
    spend(budget)
    clock.now += 3600
    assert spend(budget) == RESERVE


def test_time_takes_nothing_from_what_first_tries_have_earned() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock, tokens=50)
    clock.now += 3600
    assert spend(budget) == 50
