from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_adapter.sandbox.quota import Agent, Override, Period, Quota, TaskCompleteConfig, total_quota

VOICE, CHAT = "usecases/voice", "usecases/chat"
AGENTS = (
    Agent("ada", "tier-1", usecases=(VOICE,)),
    Agent("bob", "tier-1", usecases=(VOICE, CHAT)),
    Agent("cyd", "tier-2", usecases=(CHAT,)),
    Agent("dan", "tier-2", active=False, usecases=(VOICE,)),
)


@pytest.mark.parametrize(
    ("config", "usecase", "expected"),
    [
        (TaskCompleteConfig(5), "", Quota(15, 3)),
        (TaskCompleteConfig(5), VOICE, Quota(10, 2)),
        (TaskCompleteConfig(5), "usecases/none", Quota(0, 0)),
        (TaskCompleteConfig(5, (Override(1, group="tier-1"),)), "", Quota(7, 3)),
        (TaskCompleteConfig(5, (Override(9, user="ada"), Override(1, group="tier-1"))), "", Quota(15, 3)),
        (TaskCompleteConfig(5, (Override(9, user="ada", group="tier-2"),)), "", Quota(19, 3)),
        (TaskCompleteConfig(5, (Override(1, group="tier-1"), Override(2, group="tier-1"))), "", Quota(9, 3)),
        (TaskCompleteConfig(5, (Override(9, user="dan"),)), "", Quota(15, 3)),
        (TaskCompleteConfig(0), "", Quota(0, 3)),
        (TaskCompleteConfig(2**31 - 1), "", Quota(2**31 - 1, 3)),
    ],
)
def test_user_beats_group_beats_default_among_active_agents_of_the_usecase(
    config: TaskCompleteConfig, usecase: str, expected: Quota
) -> None:
    assert total_quota(AGENTS, config, usecase) == expected


def _day(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("agent", "counted"),
    [
        (Agent("a"), True),
        (Agent("a", active=False), False),
        (Agent("a", active=False, since=_day(1), until=_day(12)), True),
        (Agent("a", active=True, since=_day(1), until=_day(10)), False),
        (Agent("a", since=_day(20)), False),
        (Agent("a", since=_day(19)), True),
        (Agent("a", active=False, until=_day(11)), True),
    ],
)
def test_with_a_period_the_agents_active_in_it_count(agent: Agent, *, counted: bool) -> None:
    quota = total_quota([agent], TaskCompleteConfig(3), period=Period(_day(10), _day(20)))
    assert quota == (Quota(3, 1) if counted else Quota(0, 0))


def test_a_period_of_no_length_is_an_instant() -> None:
    agent = Agent("a", since=_day(10), until=_day(11))
    assert total_quota([agent], TaskCompleteConfig(3), period=Period(_day(10), _day(10))) == Quota(3, 1)
    assert total_quota([agent], TaskCompleteConfig(3), period=Period(_day(11), _day(11))) == Quota(0, 0)


@given(
    counts=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5),
    groups=st.lists(st.sampled_from(["tier-1", "tier-2", ""]), max_size=20),
)
def test_a_quota_is_never_negative_and_fits_an_int32(counts: list[int], groups: list[str]) -> None:
    agents = [Agent(f"agent-{number}", group) for number, group in enumerate(groups)]
    config = TaskCompleteConfig(counts[0], tuple(Override(count, user=f"agent-{n}") for n, count in enumerate(counts)))
    quota = total_quota(agents, config)
    assert 0 <= quota.total < 2**31
    assert quota.active_agents == len(agents)
