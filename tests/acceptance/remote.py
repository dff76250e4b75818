"""The remote of an acceptance test: a ``coachsync sandbox`` process, seen through its operator's door."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as the remote saw it; ``at`` is its monotonic clock, ``status`` None where the line was cut."""

    at: float
    operation: str | None
    name: str
    status: int | None
    fault: str
    in_cooldown: bool
    key: str


@dataclass(frozen=True, slots=True)
class Effect:
    """One write that happened: which value, under which job's key."""

    name: str
    value: float
    key: str


@dataclass(frozen=True, slots=True)
class Remote:
    """The sandbox's ledger, its state, and its levers."""

    http: httpx.Client

    def arrivals(self) -> list[Arrival]:
        return [
            Arrival(
                at=one["at"],
                operation=one["operation"],
                name=one["name"],
                status=one["status"],
                fault=one["fault"],
                in_cooldown=one["in_cooldown"],
                key=one["idempotency_key"],
            )
            for one in self._ask("GET", "requests")["requests"]
        ]

    def effects(self) -> list[Effect]:
        return [
            Effect(one["name"], one["new"]["target"], one["idempotency_key"])
            for one in self._ask("GET", "effects")["effects"]
        ]

    def most_in(self, seconds: float) -> int:
        """The most requests in any sliding window of this length."""
        most: int = self._ask("GET", "ledger", params={"window": str(seconds)})["most_in"][str(seconds)]
        return most

    def values(self) -> dict[str, float]:
        """What each target that was ever written holds now."""
        return {effect.name: effect.value for effect in self.effects()}

    def effects_by_key(self) -> Counter[str]:
        return Counter(effect.key for effect in self.effects())

    def replays(self) -> int:
        """How often a remembered answer was given again for the same key."""
        replays: int = self._ask("GET", "ledger")["replays"]
        return replays

    def targets(self, profile: str) -> list[dict[str, Any]]:
        """All that it holds, as it lists them to anybody."""
        found, token = [], ""
        while True:
            page = self.http.get(f"/v1/{profile}/targets", params={"pageSize": "1000", "pageToken": token}).json()
            found += page.get("targets", [])
            token = page.get("nextPageToken", "")
            if not token:
                return found

    def roster(self, profile: str, agents: Sequence[Mapping[str, Any]]) -> None:
        """The people whom the remote counts."""
        self._ask("POST", "roster", json={"profile": profile, "agents": list(agents)})

    def script(self, faults: Sequence[Mapping[str, Any]]) -> None:
        self._ask("POST", "faults", json=list(faults))

    def limit(self, rate: str) -> None:
        self._ask("POST", "limit", json={"rate_limit": rate})

    def settings(self, **settings: Any) -> None:
        self._ask("PUT", "settings", json=settings)

    def reset(self) -> None:
        """Empty ledger, sample world, no faults, no limit, everybody let in."""
        self._ask("POST", "reset")

    def _ask(self, method: str, noun: str, **options: Any) -> dict[str, Any]:
        answer = self.http.request(method, f"/_sandbox/{noun}", **options)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told
