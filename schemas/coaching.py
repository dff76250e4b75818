"""The Coaching API's wire messages, as the vendor's reference and proto3 JSON have them.

Requests are built strictly; responses are read leniently: a default value may be absent or ``null``, an int32 may come
as a string, a Timestamp with any offset, and an unknown field is ignored.
"""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, StringConstraints, ValidationInfo, field_validator, model_validator

from schemas.base import Message, Value
from schemas.instants import Instant, format_instant
from schemas.names import ScorecardTemplateRevisionName, TargetName, TargetNameOrEmpty, UsecaseName
from schemas.numbers import Count, Int32, format_float32, number_from_text


def _empty_if_null(value: object) -> object:
    return "" if value is None else value


def _zero_if_null(value: object) -> object:
    return 0 if value is None else value


Text = Annotated[str, BeforeValidator(_empty_if_null)]


class Target(Message):
    """`v1coachingTarget` as a response shows it. ``target`` and ``qa_score`` are 32-bit floats, percent."""

    name: TargetName
    scorecard_template_name: Text = ""
    criterion_or_chapter_id: Text = ""
    target: Annotated[float, BeforeValidator(number_from_text), BeforeValidator(_zero_if_null)] = 0.0
    usecase_name: Text = ""
    coaching_plan_name: Text = ""
    create_time: Instant | None = None
    update_time: Instant | None = None
    qa_score: Annotated[float | None, BeforeValidator(number_from_text)] = None


class TargetEnvelope(Message):
    """The response of UpdateTarget, GetTarget and CreateTarget."""

    target: Target


class TargetPage(Message):
    """One page of ListTargets (AIP-158): an empty ``next_page_token`` ends the list, an empty page does not."""

    targets: tuple[Target, ...] = ()
    next_page_token: Text = ""

    @field_validator("targets", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return () if value is None else value


class EvaluationPeriod(Value):
    """`coachingScorecardTemplateEvaluationPeriod`: from ``start_time`` (included) to ``end_time``."""

    start_time: Instant
    end_time: Instant

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end_time <= self.start_time:
            raise ValueError("the evaluation period's endTime must be later than its startTime")
        return self


AgentOrGroupName = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f]{1,500}$")]


class OverriddenAgent(Value):
    """An entry of `qaTaskCompleteConfig.overriddenAgents`: exactly one of ``group`` and ``user``."""

    group: AgentOrGroupName | None = None
    user: AgentOrGroupName | None = None
    evaluated_conversation_count_per_agent: Count

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.group is None) == (self.user is None):
            raise ValueError("an overridden agent names exactly one of group and user")
        return self


class TaskCompleteConfig(Value):
    """`qaTaskCompleteConfig`: how many conversations each agent is to have evaluated."""

    evaluated_conversation_count_per_agent: Count | None = None
    overridden_agents: tuple[OverriddenAgent, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.evaluated_conversation_count_per_agent is None and not self.overridden_agents:
            raise ValueError(
                "an override without evaluatedConversationCountPerAgent and overriddenAgents overrides nothing"
            )
        return self


class QuotaRequest(Value):
    """RetrieveTotalAgentQuota: the template with revision goes to the path, the rest to the body."""

    scorecard_template_name: ScorecardTemplateRevisionName
    usecase_name: UsecaseName | None = None
    override_task_complete_config: TaskCompleteConfig | None = None
    evaluation_period: EvaluationPeriod | None = None

    def body(self) -> dict[str, Any]:
        """The wire's three fields alone: what a job carries besides is none of the remote's business."""
        wire = {"usecase_name", "override_task_complete_config", "evaluation_period"}
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, include=wire)


class Quota(Message):
    """The answer of RetrieveTotalAgentQuota; an absent number is 0."""

    total_agent_quota: Annotated[Int32, BeforeValidator(_zero_if_null)] = 0
    total_active_agents_count: Annotated[Int32, BeforeValidator(_zero_if_null)] = 0


class TargetWrite(Value):
    """The query of UpdateTarget, and the body of CreateTarget: always the target's full identity.

    An empty ``coaching_plan_name`` is the whole organisation, an empty ``criterion_or_chapter_id`` the whole template;
    both are always sent, so that nothing is left for the remote to guess. What is created may leave its name to the
    remote.
    """

    name: TargetNameOrEmpty
    scorecard_template_name: str
    criterion_or_chapter_id: str
    target: float
    usecase_name: str
    coaching_plan_name: str
    qa_score: float | None = None
    create_time: Instant | None = None
    update_time: Instant | None = None

    def query(self) -> list[tuple[str, str]]:
        """``target.*`` parameters in camelCase, floats as the shortest decimal of their 32 bits."""
        fields: dict[str, str | float | datetime | None] = {
            "scorecardTemplateName": self.scorecard_template_name,
            "criterionOrChapterId": self.criterion_or_chapter_id,
            "target": self.target,
            "usecaseName": self.usecase_name,
            "coachingPlanName": self.coaching_plan_name,
            "createTime": self.create_time,
            "updateTime": self.update_time,
            "qaScore": self.qa_score,
        }
        return [(f"target.{key}", _query_text(value)) for key, value in fields.items() if value is not None]


class EvaluationPeriods(Message):
    """The answer of RetrieveEvaluationPeriods; both lists are index-aligned."""

    evaluation_periods: tuple[EvaluationPeriod, ...] = ()
    conversation_evaluation_periods: tuple[EvaluationPeriod, ...] = ()

    @field_validator("evaluation_periods", "conversation_evaluation_periods", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object, _: ValidationInfo) -> object:
        return () if value is None else value


def _query_text(value: str | float | datetime) -> str:
    match value:
        case str():
            return value
        case datetime():
            return format_instant(value)
        case _:
            return format_float32(value)
