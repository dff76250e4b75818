"""The policy: which roster facts ask for which targets and quotas. Of the target rules that fit, the first counts."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StrictBool, StringConstraints, model_validator

from schemas.base import Value
from schemas.coaching import AgentOrGroupName, EvaluationPeriod, TaskCompleteConfig
from schemas.jobs import CriterionOrChapterId, PeriodWord
from schemas.names import ScorecardTemplateName, ScorecardTemplateRevisionName, UsecaseName, check_same_profile
from schemas.numbers import Percentage

RuleName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]


class Fact(StrEnum):
    """What may become of an agent, seen from one usecase: they come into it, go out of it, or change within it."""

    JOINED = "joined"
    LEFT = "left"
    MOVED = "moved"


class DriftMode(StrEnum):
    """What is done when somebody else has changed at the remote what we had set."""

    ENFORCE = "enforce"
    OBSERVE = "observe"
    ADOPT = "adopt"


class QuotaRule(Value):
    """When an agent of the usecase, and of one of ``groups`` if any are named, comes, goes or moves: ask anew."""

    name: RuleName
    template: ScorecardTemplateRevisionName
    usecase: UsecaseName
    groups: tuple[AgentOrGroupName, ...] = ()
    on: Annotated[tuple[Fact, ...], Field(min_length=1)] = (Fact.JOINED, Fact.LEFT, Fact.MOVED)
    period: PeriodWord | EvaluationPeriod | None = None
    override: TaskCompleteConfig | None = None

    @model_validator(mode="after")
    def _one_profile(self) -> Self:
        check_same_profile(self.template, usecase=self.usecase)
        return self


class TargetRule(Value):
    """An agent of the usecase, in one of ``groups`` if any are named, in their ``first_days`` if given: this target.

    ``create``: where the remote has no such target, make one. ``drift`` outranks the reconciliation's mode.
    """

    name: RuleName
    template: ScorecardTemplateName
    usecase: UsecaseName
    criterion: CriterionOrChapterId = ""
    groups: tuple[AgentOrGroupName, ...] = ()
    first_days: Annotated[int, Field(strict=True, ge=1, le=3650)] | None = None
    target: Percentage
    create: StrictBool = False
    drift: DriftMode | None = None

    @model_validator(mode="after")
    def _one_profile(self) -> Self:
        check_same_profile(self.template, usecase=self.usecase)
        return self


class Policy(Value):
    """Rules in their order. Names are unique: a rule is named where what it asked for is explained."""

    quotas: tuple[QuotaRule, ...] = ()
    targets: tuple[TargetRule, ...] = ()

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        seen: set[str] = set()
        named = [(f"quotas[{number}]", rule.name) for number, rule in enumerate(self.quotas)]
        named += [(f"targets[{number}]", rule.name) for number, rule in enumerate(self.targets)]
        for place, name in named:
            if name in seen:
                raise ValueError(f"{place}.name: is the name of another rule too; give each its own")
            seen.add(name)
        return self
