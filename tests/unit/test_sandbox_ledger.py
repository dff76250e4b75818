import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_adapter.sandbox.cooldown import Cooldown
from api_adapter.sandbox.ledger import Arrival, Effect, Ledger, most_in_window
from api_adapter.sandbox.seed import sample_targets

SECOND = timedelta(seconds=1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("times", "most"),
    [
        ([], 0),
        ([5.0], 1),
        ([0.0, 1.0, 2.0], 1),
        ([0.0, 0.999, 1.5], 2),
        ([0.9, 0.95, 1.05, 1.1], 4),
        ([1.1, 0.9, 1.05, 0.95], 4),
    ],
)
def test_the_most_in_a_window_is_over_any_window_not_over_whole_seconds(times: list[float], most: int) -> None:
    assert most_in_window(times, SECOND) == most


@given(st.lists(st.integers(0, 40), max_size=40))
def test_the_most_in_a_window_agrees_with_looking_at_every_window(ticks: list[int]) -> None:
    times = [tick / 8 for tick in ticks]
    looked = max((sum(start <= time < start + 1 for time in times) for start in times), default=0)
    assert most_in_window(times, SECOND) == looked


def test_effects_are_found_by_target_in_their_order() -> None:
    ledger = Ledger(Cooldown(timedelta(0)))
    first, second = sample_targets("acme", 2)
    for number, target in enumerate((first, second, first), start=1):
        ledger.effects.append(Effect(number, 0.0, NOW, target.name, None, target, "", ""))
    assert [effect.sequence for effect in ledger.effects_of(first.name)] == [1, 3]


def test_a_hundred_thousand_effects_and_requests_stay_small() -> None:
    target = sample_targets("acme", 1)[0]
    effect = Effect(1, 0.0, NOW, target.name, target, target, "", "")
    arrival = Arrival(0.0, NOW, None, target.name, "", "", in_cooldown=False)
    assert not hasattr(effect, "__dict__")
    assert not hasattr(arrival, "__dict__")
    assert sys.getsizeof(effect) + sys.getsizeof(arrival) + sys.getsizeof(target) < 400
