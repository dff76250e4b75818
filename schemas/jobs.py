"""What producers hand in, and the words for what becomes of it."""

import hashlib
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import StringConstraints, model_validator

from schemas.base import Value
from schemas.coaching import QuotaRequest
from schemas.instants import Instant, format_instant
from schemas.lanes import Lane
from schemas.names import (
    CoachingPlanNameOrEmpty,
    ScorecardTemplateName,
    TargetName,
    UsecaseName,
    check_same_profile,
    profile_of,
    target_identity,
)
from schemas.numbers import Percentage


class JobKind(StrEnum):
    TARGET_UPDATE = "target_update"
    TARGET_CREATION = "target_creation"
    QUOTA_RECALCULATION = "quota_recalculation"


class JobState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (JobState.PENDING, JobState.RUNNING)


RequestKey = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")]
PeriodWord = Literal["current", "next"]
CriterionOrChapterId = Annotated[str, StringConstraints(pattern=r"^[^\s/?#&%\x00-\x1f\x7f]{0,128}$")]


class TargetUpdate(Value):
    """A wish: this target is to have this percentage.

    ``None`` in ``criterion_or_chapter_id`` or ``coaching_plan_name`` says "as it is": it is filled from what is known
    of the target, or read from the remote first. The empty string states the whole template, the whole organisation.
    ``as_of`` orders the wishes for one target; without it, acceptance does. ``expected``: send it only if the target
    has this value at that moment; anything else there is somebody's later change.
    """

    name: TargetName
    scorecard_template_name: ScorecardTemplateName
    usecase_name: UsecaseName
    target: Percentage
    criterion_or_chapter_id: CriterionOrChapterId | None = None
    coaching_plan_name: CoachingPlanNameOrEmpty | None = None
    qa_score: Percentage | None = None
    create_time: Instant | None = None
    update_time: Instant | None = None
    expected: Percentage | None = None
    as_of: Instant | None = None
    request_key: RequestKey | None = None
    priority: Lane | None = None

    @model_validator(mode="after")
    def _one_profile(self) -> Self:
        check_same_profile(
            self.name,
            scorecardTemplateName=self.scorecard_template_name,
            usecaseName=self.usecase_name,
            coachingPlanName=self.coaching_plan_name,
        )
        return self

    @property
    def kind(self) -> JobKind:
        return JobKind.TARGET_UPDATE

    @property
    def resource(self) -> str:
        """What the job changes, and what its order is kept by."""
        return self.name


class TargetCreation(Value):
    """A wish: the remote is to have a target of this identity, with this percentage, where it has none yet.

    An empty ``coaching_plan_name`` is the whole organisation, an empty ``criterion_or_chapter_id`` the whole template.
    What is there already is not changed: that is an update's work.
    """

    scorecard_template_name: ScorecardTemplateName
    usecase_name: UsecaseName
    target: Percentage
    criterion_or_chapter_id: CriterionOrChapterId = ""
    coaching_plan_name: CoachingPlanNameOrEmpty = ""
    as_of: Instant | None = None
    request_key: RequestKey | None = None
    priority: Lane | None = None

    @model_validator(mode="after")
    def _one_profile(self) -> Self:
        check_same_profile(
            self.scorecard_template_name, usecaseName=self.usecase_name, coachingPlanName=self.coaching_plan_name
        )
        return self

    @property
    def kind(self) -> JobKind:
        return JobKind.TARGET_CREATION

    @property
    def profile(self) -> str:
        return profile_of(self.scorecard_template_name)

    @property
    def resource(self) -> str:
        """A target without a name yet is told from others by what it is for."""
        return target_identity(
            self.scorecard_template_name, self.usecase_name, self.criterion_or_chapter_id, self.coaching_plan_name
        )


class QuotaRecalculation(QuotaRequest):
    """A wish: the remote is to be asked for this template's total agent quota, and the answer kept.

    ``period``: the evaluation period that is the current or the next one when the remote is asked.
    """

    period: PeriodWord | None = None
    as_of: Instant | None = None
    request_key: RequestKey | None = None
    priority: Lane | None = None

    @model_validator(mode="after")
    def _one_profile(self) -> Self:
        check_same_profile(self.scorecard_template_name, usecaseName=self.usecase_name)
        if self.period and self.evaluation_period:
            raise ValueError("period and evaluationPeriod both say which period is meant; keep one")
        if self.period and not self.usecase_name:
            raise ValueError("period needs a usecaseName: a usecase's periods are looked up")
        return self

    @property
    def kind(self) -> JobKind:
        return JobKind.QUOTA_RECALCULATION

    @property
    def resource(self) -> str:
        """The template with all that tells one question from another: usecase, period, a digest of the override."""
        parts = [f"{self.scorecard_template_name}/quota"]
        if self.usecase_name:
            parts.append(f"usecase={self.usecase_name.rsplit('/', 1)[1]}")
        if self.period:
            parts.append(f"period={self.period}")
        if self.evaluation_period:
            period = self.evaluation_period
            parts.append(f"period={format_instant(period.start_time)}/{format_instant(period.end_time)}")
        if self.override_task_complete_config:
            text = self.override_task_complete_config.model_dump_json(by_alias=True, exclude_none=True)
            parts.append(f"override={hashlib.sha256(text.encode()).hexdigest()[:12]}")
        return ";".join(parts)


Wish = TargetUpdate | TargetCreation | QuotaRecalculation
