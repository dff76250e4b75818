"""Pure: how much may change without a person's approval.

A truncated export removes a third of the agents, a wrong column moves all of them: both are well-formed. So what goes
beyond a share of what there is, and beyond a floor below which a share says nothing, is stopped before anything is
written.

GuardTripped   what was asked for is stopped; it names the reason and the approval that would let it pass.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from worker.configuration.oversight import GuardOptions
from worker.core.durations import in_words


class GuardTripped(Exception):  # noqa: N818 - the house names what happened
    """Nothing was written but the request for approval ``approval_id``."""

    def __init__(self, reason: str, approval_id: int) -> None:
        super().__init__(f"{reason}; nothing was written")
        self.reason = reason
        self.approval_id = approval_id


class ChangeKind(StrEnum):
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One agent is removed or changed at ``at``, and is no longer in ``groups_left``."""

    at: datetime
    agent: str
    kind: ChangeKind
    groups_left: tuple[str, ...] = ()


def judge_roster(
    changes: Sequence[Change], size: int, group_sizes: Mapping[str, int], limits: GuardOptions
) -> str | None:
    """Why these changes need approval, or None. ``size`` agents are there now, ``group_sizes`` of them in each group.

    The changes are weighed as a window of time slides over them, so that a year's log is not one single change.
    """
    for kind, words in ((ChangeKind.REMOVED, "would leave"), (ChangeKind.CHANGED, "would change")):
        most = _most_in_window([(one.at, one.agent) for one in changes if one.kind is kind], limits)
        if reason := _over(most, size, f"agents {words}", limits):
            return reason
    by_group = defaultdict[str, list[tuple[datetime, str]]](list)
    for one in changes:
        for group in one.groups_left:
            by_group[group].append((one.at, one.agent))
    for group, left in sorted(by_group.items()):
        if reason := _over(
            _most_in_window(left, limits),
            group_sizes.get(group, 0),
            f"agents of the group {group!r} would leave it",
            limits,
        ):
            return reason
    return None


def threshold(known: int, limits: GuardOptions) -> int:
    """The most of ``known`` things that may change unasked."""
    share = Fraction(str(limits.share))  # as it is written: of 100, 0.29 are 29, and not 28.999999999999996
    return max(limits.floor, int(known * share))


def judge_share(changed: int, known: int, what: str, limits: GuardOptions) -> str | None:
    """``what`` completes "12 of 40 …": ``known targets would change``."""
    if not known or changed <= threshold(known, limits):
        return None
    return f"{changed:,} of {known:,} {what}, more than {limits.share:.0%} of them and more than {limits.floor:,}"


def judge_targets(changed: int, known: int, limits: GuardOptions) -> str | None:
    """``changed`` need not be counted to its end once it is above what may change."""
    reason = judge_share(changed, known, "known targets would change", limits)
    return f"at least {reason}" if reason else None


def _over(most: int, size: int, words: str, limits: GuardOptions) -> str | None:
    reason = judge_share(most, size, words, limits)
    return f"{reason}, within {in_words(limits.window)}" if reason else None


def _most_in_window(changes: Iterable[tuple[datetime, str]], limits: GuardOptions) -> int:
    """The most different agents in any window."""
    ordered = sorted(changes)
    inside: dict[str, int] = {}
    most = start = 0
    for at, agent in ordered:
        inside[agent] = inside.get(agent, 0) + 1
        while ordered[start][0] <= at - limits.window:
            gone = ordered[start][1]
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            start += 1
        most = max(most, len(inside))
    return most
