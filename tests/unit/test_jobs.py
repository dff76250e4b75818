"""What producers hand in: what is a wish, what is none, and what orders wishes."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.jobs import JobKind, JobState, QuotaRecalculation, TargetUpdate
from schemas.lanes import Lane

HOME = "customers/acme/profiles/main"
TARGET: dict[str, Any] = {
    "name": f"{HOME}/targets/t",
    "scorecardTemplateName": f"{HOME}/scorecardTemplates/s",
    "usecaseName": f"{HOME}/usecases/u",
    "target": 82.5,
}
QUOTA: dict[str, Any] = {"scorecardTemplateName": f"{HOME}/scorecardTemplates/s@1"}


def test_a_target_update_is_taken_in_camel_case_and_snake_case_and_changes_its_target() -> None:
    wish = TargetUpdate.model_validate(TARGET)
    snaked = TargetUpdate(
        name=TARGET["name"],
        scorecard_template_name=TARGET["scorecardTemplateName"],
        usecase_name=TARGET["usecaseName"],
        target=82.5,
    )
    assert wish == snaked
    assert (wish.kind, wish.resource, wish.priority) == (JobKind.TARGET_UPDATE, TARGET["name"], None)
    assert (wish.coaching_plan_name, wish.criterion_or_chapter_id) == (None, None)
    assert TargetUpdate.model_validate_json(wish.model_dump_json(by_alias=True)) == wish


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"target": None}, "target"),
        ({"target": 101}, "target"),
        ({"qaScore": -1}, "qaScore"),
        ({"name": "t"}, "name"),
        ({"scorecardTemplateName": f"{HOME}/scorecardTemplates/s@1"}, "scorecardTemplateName"),
        ({"usecaseName": ""}, "usecaseName"),
        ({"coachingPlanName": f"{HOME}/plans/p"}, "coachingPlanName"),
        ({"criterionOrChapterId": "a b"}, "criterionOrChapterId"),
        ({"criterionOrChapterId": "a/b"}, "criterionOrChapterId"),
        ({"criterionOrChapterId": "x" * 129}, "criterionOrChapterId"),
        ({"criterionOrChapterId": "a\n"}, "criterionOrChapterId"),
        ({"criterionOrChapterId": "a\ud800"}, "criterionOrChapterId"),
        ({"asOf": "yesterday"}, "asOf"),
        ({"requestKey": ""}, "requestKey"),
        ({"requestKey": "a b"}, "requestKey"),
        ({"requestKey": "a\n"}, "requestKey"),
        ({"requestKey": "é"}, "requestKey"),
        ({"requestKey": "x" * 256}, "requestKey"),
        ({"priority": "urgent"}, "priority"),
        ({"Target": 5}, "Target"),
        ({"percentage": 5}, "percentage"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(said: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as error:
        TargetUpdate.model_validate(TARGET | said)
    assert [one["loc"] for one in error.value.errors()] == [(field,)]


@pytest.mark.parametrize(
    "said",
    [
        {"coachingPlanName": "", "criterionOrChapterId": ""},
        {"coachingPlanName": f"{HOME}/coachingPlans/p", "criterionOrChapterId": "x" * 128},
        {"criterionOrChapterId": 'é"+:~'},
        {"requestKey": "x" * 255, "priority": "interactive"},
        {"asOf": "2026-01-31T08:00:00Z", "createTime": "2026-01-31T08:00:00+01:00"},
        {"target": 0},
        {"target": "100"},
    ],
)
def test_the_edges_are_taken(said: dict[str, Any]) -> None:
    assert TargetUpdate.model_validate(TARGET | said).resource == TARGET["name"]


@pytest.mark.parametrize("field", ["scorecardTemplateName", "usecaseName", "coachingPlanName"])
def test_a_wish_never_spans_two_profiles(field: str) -> None:
    elsewhere = {"coachingPlanName": f"{HOME}/coachingPlans/p", **TARGET}[field].replace("main", "other")
    with pytest.raises(ValidationError, match=f"lies outside {HOME}"):
        TargetUpdate.model_validate(TARGET | {field: elsewhere})


OVERRIDE = {"evaluatedConversationCountPerAgent": 5}
PERIOD = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-02-01T01:00:00+01:00"}


@pytest.mark.parametrize(
    ("said", "resource"),
    [
        ({}, ""),
        ({"usecaseName": f"{HOME}/usecases/u"}, ";usecase=u"),
        ({"evaluationPeriod": PERIOD}, ";period=2026-01-01T00:00:00Z/2026-02-01T00:00:00Z"),
        ({"overrideTaskCompleteConfig": OVERRIDE}, ";override=26b1c3d17824"),
        (
            {"usecaseName": f"{HOME}/usecases/u", "evaluationPeriod": PERIOD, "overrideTaskCompleteConfig": OVERRIDE},
            ";usecase=u;period=2026-01-01T00:00:00Z/2026-02-01T00:00:00Z;override=26b1c3d17824",
        ),
    ],
)
def test_a_quota_is_its_template_and_all_that_tells_one_question_from_another(
    said: dict[str, Any], resource: str
) -> None:
    wish = QuotaRecalculation.model_validate(QUOTA | said)
    assert wish.resource == f"{QUOTA['scorecardTemplateName']}/quota{resource}"
    assert wish.kind is JobKind.QUOTA_RECALCULATION
    assert QuotaRecalculation.model_validate_json(wish.model_dump_json(by_alias=True)) == wish


def test_when_and_how_urgently_a_quota_is_asked_makes_it_no_other_question() -> None:
    later = QuotaRecalculation.model_validate(
        QUOTA | {"asOf": "2026-01-31T08:00:00Z", "requestKey": "k", "priority": "bulk"}
    )
    assert later.resource == QuotaRecalculation.model_validate(QUOTA).resource
    assert later.priority is Lane.BULK


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"scorecardTemplateName": f"{HOME}/scorecardTemplates/s"}, "needs its @revision"),
        ({"usecaseName": "customers/acme/profiles/other/usecases/u"}, "lies outside"),
        ({"evaluationPeriod": {**PERIOD, "endTime": PERIOD["startTime"]}}, "must be later than its startTime"),
        ({"overrideTaskCompleteConfig": {}}, "overrides nothing"),
        ({"overrideTaskCompleteConfig": {"evaluatedConversationCountPerAgent": -1}}, "is no count"),
        ({"overrideTaskCompleteConfig": {"overriddenAgents": [OVERRIDE]}}, "exactly one of group and user"),
        (
            {"overrideTaskCompleteConfig": {"overriddenAgents": [{**OVERRIDE, "group": "g", "user": "u"}]}},
            "exactly one",
        ),
    ],
)
def test_a_quota_question_that_makes_no_sense_is_refused(said: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        QuotaRecalculation.model_validate(QUOTA | said)


def test_only_pending_and_running_are_not_final() -> None:
    assert [state for state in JobState if not state.final] == [JobState.PENDING, JobState.RUNNING]
