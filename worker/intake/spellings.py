"""How fields may be spelled in a file: what a column or key stands for, which must be there, which are passed over."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

_NEAR = 0.8  # "usecase" is meant for "usecases"; "agentName" is not for "agent"


@dataclass(frozen=True, slots=True)
class Spellings:
    """``columns`` and ``keys`` lead from each accepted spelling to the field's name; a nested column is dotted.

    An empty cell of ``stated_when_empty`` says something. ``open``: a file may hold more than we read. ``called`` are
    the fields that the settings have named, in words. ``instead``: what another command reads, by its name.
    """

    columns: Mapping[str, str]
    keys: Mapping[str, str]
    required: tuple[str, ...]
    stated_when_empty: frozenset[str] = frozenset()
    open: bool = False
    called: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, "Spellings"] = field(default_factory=dict)

    def passes_over(self, name: str, given: Collection[str]) -> bool:
        """Whether nobody reads this column or key, unless it looks like a field that ``given`` lacks."""
        if not self.open or not name.strip():
            return self.open
        there = {self.columns[one] for one in given if one in self.columns}
        lacking = [spelling.lower() for spelling, meant in self.columns.items() if meant not in there]
        return not difflib.get_close_matches(name[:80].strip().lower(), lacking, n=1, cutoff=_NEAR)

    def shown(self, name: str) -> str:
        return self.called.get(name) or f'"{name}"'


def nearest(spelling: str, known: Mapping[str, str]) -> str:
    """`` (did you mean "target"?)``, or nothing where no known spelling is near."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(spelling[:80].strip().lower(), by_lower, n=1)
    return f' (did you mean "{by_lower[found[0]]}"?)' if found else ""
