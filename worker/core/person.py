"""Pure: what in a text tells of one agent, and the same text without it.

A name is replaced where it stands as a whole word, under one alias, so that what hung together still does. A group or a
usecase that happens to be called like the agent stays, and so does a longer word that contains the name.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_OF_OTHERS = frozenset(("groups", "usecases", "profile", "type", "kind", "state", "time", "specversion"))
_MORE = r"[\w.~@/:-]"  # what makes a longer word of a name
_NO_MORE = r"(?![\w~@/-]|[.:](?=\w))"
_ID_GOES_ON = r"(?![\w.~-])"


@dataclass(frozen=True)
class Person:
    """``plans`` and ``targets``: the names of those that are theirs alone; ``alias`` takes the place of all of them."""

    profile: str
    agent: str
    alias: str
    plans: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """A text that holds none of these does not tell of the person; the name as it is, and as JSON has it."""
        plan_ids = (f";plan={plan.rsplit('/', 1)[-1]}" for plan in self.plans)
        return tuple(dict.fromkeys((*self._spellings, *self.plans, *plan_ids, *self.targets)))

    def is_in(self, text: str) -> bool:
        """Whether the name is in it, be it as a part of a longer word."""
        return any(one in text for one in self._spellings)

    def without(self, text: str) -> str:
        """The text without the person. JSON stays JSON: what it says of others is not touched."""
        if text[:1] in ("{", "["):
            try:
                told = json.loads(text)
            except ValueError:
                return self._words(text)
            left = self._value(told, "")
            return text if left == told else json.dumps(left, ensure_ascii=False, separators=(",", ":"))
        return self._words(text)

    def without_trace(self, text: str) -> str:
        """The text, known to be of this person, without the name anywhere in it."""
        for one in self._spellings:
            text = text.replace(one, self.alias)
        return text

    def event_without(self, text: str) -> str:
        """An event of the agent: that there was one, of which kind, when, and of whose source. No more."""
        event = json.loads(text)
        event["id"] = self.without_trace(event["id"])
        return json.dumps(
            {
                name: value
                for name, value in event.items()
                if name in ("specversion", "id", "source", "type", "time")
            } | {"data": self._nobody},
            ensure_ascii=False,
            separators=(",", ":"),
        )  # fmt: skip

    @property
    def record_without(self) -> str:
        return json.dumps(self._nobody, ensure_ascii=False, separators=(",", ":"))

    @property
    def _nobody(self) -> dict[str, Any]:
        return {"agent": self.alias, "profile": self.profile, "groups": []}

    @cached_property
    def _spellings(self) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys((self.agent, json.dumps(self.agent)[1:-1], json.dumps(self.agent, ensure_ascii=False)[1:-1]))
        )

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        named = []
        for number, target in enumerate(sorted(self.targets), start=1):
            named.append((re.escape(target) + _ID_GOES_ON, f"{self.profile}/targets/{self.alias}-{number}"))
        for number, plan in enumerate(sorted(self.plans), start=1):
            alias = f"{self.alias}-{number}"
            named.append((re.escape(plan) + _ID_GOES_ON, f"{self.profile}/coachingPlans/{alias}"))
            identity = rf"({re.escape(self.profile)}/targets;[^\s\"]*;plan=){re.escape(plan.rsplit('/', 1)[-1])}"
            named.append((identity + _ID_GOES_ON, rf"\g<1>{alias}"))
        words = "|".join(re.escape(one) for one in sorted(self._spellings, key=len, reverse=True))
        named.append((rf"(?<!{_MORE})(?:{words}){_NO_MORE}", self.alias))
        return [(re.compile(pattern), alias) for pattern, alias in named]

    def _words(self, text: str) -> str:
        for pattern, alias in self._patterns:
            text = pattern.sub(alias, text)
        return text

    def _value(self, value: Any, key: str) -> Any:
        match value:
            case str():
                return value if key in _OF_OTHERS else self._words(value)
            case dict():
                return (
                    self._nobody if self._is(value) else {name: self._value(one, name) for name, one in value.items()}
                )
            case list():
                listed = [one for one in value if not (key == "agents" and self._is(one))]
                return [self._value(one, key) for one in listed]
            case _:
                return value

    def _is(self, value: Any) -> bool:
        told = isinstance(value, Mapping) and "agent" in value
        return told and (value["agent"], value.get("profile", self.profile)) == (self.agent, self.profile)
