"""Pure: which events an endpoint asks for."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from schemas.webhooks import EventType

EVERY_OF = ".*"  # `target.*` is every type that begins with `target.`


@dataclass(frozen=True, slots=True)
class Facts:
    """What is looked at."""

    type: str
    customer: str | None
    usecase: str | None
    batch_id: int | None
    batch_label: str | None


@dataclass(frozen=True, slots=True)
class EndpointFilter:
    """Each empty collection lets everything through; an event that lacks a fact passes no filter on it.

    ``batches`` holds numbers, as text, and labels. Raises ``ValueError`` for a type that is not in the catalogue.
    """

    types: frozenset[str] = frozenset()
    customers: frozenset[str] = frozenset()
    usecases: frozenset[str] = frozenset()
    batches: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        types: Collection[str] = (),
        customers: Collection[str] = (),
        usecases: Collection[str] = (),
        batches: Collection[str] = (),
    ) -> Self:
        """As a person gives it."""
        for one in types:
            _check_type(one)
        return cls(frozenset(types), frozenset(customers), frozenset(usecases), frozenset(batches))

    def lets_through(self, facts: Facts) -> bool:
        batch = () if facts.batch_id is None else (str(facts.batch_id), facts.batch_label)
        return (
            (not self.types or self._asks_for(facts.type))
            and (not self.customers or facts.customer in self.customers)
            and (not self.usecases or facts.usecase in self.usecases)
            and (not self.batches or not self.batches.isdisjoint(filter(None, batch)))
        )

    def _asks_for(self, kind: str) -> bool:
        return kind in self.types or f"{kind.partition('.')[0]}{EVERY_OF}" in self.types


def _check_type(text: str) -> None:
    families = {f"{kind.partition('.')[0]}{EVERY_OF}" for kind in EventType}
    if text not in {*EventType, *families}:
        raise ValueError(
            f"{text[:60]!r} is no event type; known are: {', '.join(EventType)}, and the likes of target.*"
        )
