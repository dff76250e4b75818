"""Pure: what is wanted of targets now, against what was wanted of them so far."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.policy import Policy
from worker.core.policy import WantedTarget


@dataclass(frozen=True, slots=True)
class Changes:
    """``new`` wants are to become wishes. ``explained`` ones have the same value as before by another rule.

    ``dropped``: nobody wants anything of these targets any more.
    """

    new: tuple[WantedTarget, ...]
    explained: tuple[WantedTarget, ...]
    dropped: tuple[str, ...]


def best_of(wanted: Iterable[WantedTarget], policy: Policy) -> dict[str, WantedTarget]:
    """One want for each target: of agents who share a plan, the one whose rule comes first, then whose name does."""
    order = {rule.name: number for number, rule in enumerate(policy.targets)}
    best: dict[str, WantedTarget] = {}
    for want in sorted(wanted, key=lambda one: (order[one.rule], one.agent)):
        best.setdefault(want.identity, want)
    return best


def changes(before: Mapping[str, WantedTarget], wanted: Mapping[str, WantedTarget]) -> Changes:
    """The same value for the same agent is no new wish, however old it is: what others have set since stays."""
    new, explained = [], []
    for identity, want in sorted(wanted.items()):
        was = before.get(identity)
        if was is None or (was.target, was.agent) != (want.target, want.agent):
            new.append(want)
        elif (was.rule, was.creates, was.drift) != (want.rule, want.creates, want.drift):
            explained.append(want)
    return Changes(tuple(new), tuple(explained), tuple(sorted(before.keys() - wanted.keys())))


def count_changed(before: Mapping[str, WantedTarget], wanted: Mapping[str, WantedTarget]) -> int:
    """How many targets would get another value, or be wanted no more."""
    return sum((want := wanted.get(identity)) is None or want.target != was.target for identity, was in before.items())
