"""The total agent quota: pure arithmetic.

ours: the vendor does not say how user and group overrides rank, what an evaluation period does, or what an omitted
count means. Here: an entry for the user beats one for the group beats the default; of several for the same one
the last counts; with a period the agents who were active in it count; an override config replaces the template's whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.numbers import INT32_MAX

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Period:
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Agent:
    """``since`` and ``until`` bound the time in which the agent was active; with neither, ``active`` decides."""

    user: str
    group: str = ""
    active: bool = True
    usecases: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    def counts(self, usecase: str, period: Period | None) -> bool:
        return (not usecase or usecase in self.usecases) and self._active_in(period)

    def _active_in(self, period: Period | None) -> bool:
        if period is None or (self.since is None and self.until is None):
            return self.active
        end = max(period.end, period.start + _INSTANT)
        return (self.since is None or self.since < end) and (self.until is None or self.until > period.start)


@dataclass(frozen=True, slots=True)
class Override:
    """For ``user``, or, where that is empty, for all of ``group``."""

    count: int
    group: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class TaskCompleteConfig:
    count_per_agent: int = 0
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class Quota:
    total: int
    active_agents: int


def total_quota(
    agents: Iterable[Agent], config: TaskCompleteConfig, usecase: str = "", period: Period | None = None
) -> Quota:
    """Never negative, and never beyond an int32."""
    by_user = {entry.user: entry.count for entry in config.overrides if entry.user}
    by_group = {entry.group: entry.count for entry in config.overrides if not entry.user}
    counted = [agent for agent in agents if agent.counts(usecase, period)]
    total = sum(by_user.get(agent.user, by_group.get(agent.group, config.count_per_agent)) for agent in counted)
    return Quota(min(max(total, 0), INT32_MAX), len(counted))
