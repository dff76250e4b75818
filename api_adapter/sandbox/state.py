"""The sandbox's world in memory: targets, scorecard templates, rosters. It knows no HTTP and no clock."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from api_adapter.sandbox.quota import Agent, Period, TaskCompleteConfig
from api_adapter.sandbox.targets import Target
from schemas.names import profile_of


@dataclass(frozen=True, slots=True)
class Template:
    """A scorecard template and its evaluation periods."""

    # ours: the latest TaskCompleteConfig is that of the template; its revisions share it

    name: str
    revisions: tuple[str, ...]
    config: TaskCompleteConfig
    periods: tuple[Period, ...] = ()
    conversation_periods: tuple[Period, ...] = ()


@dataclass(slots=True)
class State:
    targets: dict[str, Target] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    rosters: dict[str, tuple[Agent, ...]] = field(default_factory=dict)
    _sorted: dict[str, list[str]] = field(default_factory=dict)
    _created: int = 0

    def put(self, target: Target) -> Target | None:
        """Write; what was there before comes back."""
        before = self.targets.get(target.name)
        self.targets[target.name] = target
        if before is None:
            self._sorted.clear()
        return before

    def put_all(self, targets: Iterable[Target]) -> int:
        before = len(self.targets)
        self.targets.update((target.name, target) for target in targets)
        self._sorted.clear()
        return len(self.targets) - before

    def delete(self, name: str) -> Target | None:
        before = self.targets.pop(name, None)
        if before is not None:
            self._sorted.clear()
        return before

    def new_name(self, parent: str) -> str:
        """A name never given before."""
        while True:
            self._created += 1
            name = f"{parent}/targets/new-{self._created:05d}"
            if name not in self.targets:
                return name

    def page(self, parent: str, after: str, size: int) -> tuple[Sequence[Target], bool]:
        """Up to ``size`` targets by name after the name ``after``, and whether more follow."""
        names = self._names(parent)
        start = bisect_right(names, after)
        return [self.targets[name] for name in islice(names, start, start + size)], start + size < len(names)

    def _names(self, parent: str) -> list[str]:
        if parent not in self._sorted:
            self._sorted[parent] = sorted(name for name in self.targets if profile_of(name) == parent)
        return self._sorted[parent]
