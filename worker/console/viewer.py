"""Who looks at a page: what their token lets them see, and whether they may act."""

from collections.abc import Collection
from dataclasses import dataclass

from worker.core.access import Holder, Scope


@dataclass(frozen=True, slots=True)
class Viewer:
    """``customers`` is None for who sees all. ``csrf`` goes into each form of theirs, and nobody else can know it."""

    name: str
    may_act: bool
    customers: frozenset[str] | None
    csrf: str

    @classmethod
    def of(cls, holder: Holder, csrf: str) -> "Viewer":
        return cls(holder.name, holder.may(Scope.CONSOLE_ACT), holder.customers or None, csrf)

    @property
    def sees_all(self) -> bool:
        return self.customers is None

    def sees(self, name: str) -> bool:
        """Whether a resource, a profile or an agent by its full name is one of their customers'."""
        return self.customers is None or any(name.startswith(prefix) for prefix in self.prefixes)

    def sees_each(self, customers: Collection[str]) -> bool:
        """Of something that is for these customers and, where there are none, for all."""
        return self.customers is None or (bool(customers) and set(customers) <= self.customers)

    @property
    def prefixes(self) -> tuple[str, ...]:
        return tuple(f"customers/{customer}/" for customer in sorted(self.customers or ()))
