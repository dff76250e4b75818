"""The Coaching API's messages: strict when we send, lenient about what proto3 JSON may be when we read."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.coaching import EvaluationPeriods, Quota, QuotaRequest, TargetEnvelope, TargetPage, TargetWrite

HOME = "customers/acme/profiles/main"
NAME = f"{HOME}/targets/t"


def target(**there: Any) -> Any:
    return TargetEnvelope.model_validate({"target": {"name": NAME} | there}).target


@pytest.mark.parametrize(
    ("there", "value"),
    [({}, 0.0), ({"target": None}, 0.0), ({"target": 82.5}, 82.5), ({"target": "82.5"}, 82.5), ({"target": 0}, 0.0)],
)
def test_a_default_may_be_absent_null_or_there(there: dict[str, Any], value: float) -> None:
    assert target(**there).target == value


def test_text_may_be_absent_or_null_and_unknown_fields_are_ignored() -> None:
    read = target(coachingPlanName=None, usecaseName="", futureField={"x": 1}, qaScore=None)
    assert (read.coaching_plan_name, read.usecase_name, read.criterion_or_chapter_id, read.qa_score) == (
        "",
        "",
        "",
        None,
    )


def test_a_timestamp_may_have_any_offset_and_nine_digits() -> None:
    read = target(updateTime="2026-01-31T08:00:00.123456789+01:00", createTime=None)
    assert read.update_time == datetime(2026, 1, 31, 7, 0, 0, 123_456, tzinfo=UTC)
    assert read.create_time is None


@pytest.mark.parametrize(
    "there", [{"name": "t"}, {"target": "many"}, {"target": True}, {"updateTime": 5}, {"usecaseName": 5}]
)
def test_an_answer_that_is_no_target_is_refused(there: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        target(**there)


@pytest.mark.parametrize(
    ("answer", "total", "agents"),
    [
        ({}, 0, 0),
        ({"totalAgentQuota": None, "totalActiveAgentsCount": 7}, 0, 7),
        ({"totalAgentQuota": "40", "totalActiveAgentsCount": 7.0, "more": 1}, 40, 7),
    ],
)
def test_a_quota_may_leave_out_its_zeros_and_write_its_numbers_as_text(
    answer: dict[str, Any], total: int, agents: int
) -> None:
    read = Quota.model_validate(answer)
    assert (read.total_agent_quota, read.total_active_agents_count) == (total, agents)


@pytest.mark.parametrize("answer", [{}, {"targets": None, "nextPageToken": None}, {"targets": [], "nextPageToken": ""}])
def test_an_empty_page_may_be_written_in_three_ways(answer: dict[str, Any]) -> None:
    assert TargetPage.model_validate(answer) == TargetPage()


def test_periods_may_be_absent() -> None:
    assert EvaluationPeriods.model_validate({"evaluationPeriods": None}) == EvaluationPeriods()


def write(**said: Any) -> TargetWrite:
    fields = {
        "name": NAME,
        "scorecard_template_name": f"{HOME}/scorecardTemplates/s",
        "criterion_or_chapter_id": "",
        "target": 33.333333333,
        "usecase_name": f"{HOME}/usecases/u",
        "coaching_plan_name": "",
    }
    return TargetWrite.model_validate(fields | said)


def test_an_update_states_the_full_identity_even_where_it_is_empty() -> None:
    assert write().query() == [
        ("target.scorecardTemplateName", f"{HOME}/scorecardTemplates/s"),
        ("target.criterionOrChapterId", ""),
        ("target.target", "33.333332"),
        ("target.usecaseName", f"{HOME}/usecases/u"),
        ("target.coachingPlanName", ""),
    ]


def test_an_update_says_what_else_was_asked_in_the_wires_forms() -> None:
    asked = write(target=0, qa_score=0.1, create_time="2026-01-31T08:00:00+01:00", update_time="2026-01-31T08:00:00.5Z")
    said = dict(asked.query())
    assert (said["target.target"], said["target.qaScore"]) == ("0", "0.1")
    assert (said["target.createTime"], said["target.updateTime"]) == (
        "2026-01-31T07:00:00Z",
        "2026-01-31T08:00:00.500Z",
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_never_sent(number: float) -> None:
    with pytest.raises(ValidationError):
        write(target=number)


def test_a_quota_question_puts_the_template_in_the_path_and_leaves_out_what_was_not_said() -> None:
    template = f"{HOME}/scorecardTemplates/s@1"
    assert QuotaRequest(scorecard_template_name=template).body() == {}
    asked = QuotaRequest.model_validate(
        {
            "scorecardTemplateName": template,
            "usecaseName": f"{HOME}/usecases/u",
            "overrideTaskCompleteConfig": {
                "evaluatedConversationCountPerAgent": "5",
                "overriddenAgents": [{"group": "g", "evaluatedConversationCountPerAgent": 2}],
            },
            "evaluationPeriod": {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-02-01T00:00:00Z"},
        }
    )
    assert asked.body() == {
        "usecaseName": f"{HOME}/usecases/u",
        "overrideTaskCompleteConfig": {
            "evaluatedConversationCountPerAgent": 5,
            "overriddenAgents": [{"group": "g", "evaluatedConversationCountPerAgent": 2}],
        },
        "evaluationPeriod": {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-02-01T00:00:00Z"},
    }
