"""When to start a child again that ended by itself. Pure."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Waits 1, 2, 4 … 30 s. A life shorter than ``quick`` ended in a quick death; one of ``calm`` forgets the past."""

    first_wait: timedelta = timedelta(seconds=1)
    longest_wait: timedelta = timedelta(seconds=30)
    quick: timedelta = timedelta(seconds=10)
    calm: timedelta = timedelta(minutes=5)
    quick_deaths: int = 5


DEFAULT_POLICY = RestartPolicy()
REFUSAL = 2  # the exit status of who cannot run as it is asked to: another start would meet the same


@dataclass(frozen=True, slots=True)
class Deaths:
    """In a row: all of them, and how many of the last were quick."""

    all: int = 0
    quick: int = 0


@dataclass(frozen=True, slots=True)
class RestartIn:
    wait: timedelta


@dataclass(frozen=True, slots=True)
class GiveUp:
    quick_deaths: int


def count_death(before: Deaths, lived: timedelta, policy: RestartPolicy) -> Deaths:
    if lived >= policy.calm:
        return Deaths(all=1)
    return Deaths(all=before.all + 1, quick=before.quick + 1 if lived < policy.quick else 0)


def decide_restart(deaths: Deaths, policy: RestartPolicy) -> RestartIn | GiveUp:
    if deaths.quick >= policy.quick_deaths:
        return GiveUp(deaths.quick)
    doublings = min(deaths.all - 1, 30)
    return RestartIn(min(policy.first_wait * 2**doublings, policy.longest_wait))
