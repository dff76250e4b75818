import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from api_adapter import requests
from schemas.coaching import QuotaRequest, TargetWrite
from schemas.jobs import QuotaRecalculation

PROFILE = "customers/acme/profiles/support"
TARGET = f"{PROFILE}/targets/t-1"
TEMPLATE = f"{PROFILE}/scorecardTemplates/empathy"
USECASE = f"{PROFILE}/usecases/voice"


def _write(**fields: object) -> TargetWrite:
    identity = {
        "name": TARGET,
        "scorecard_template_name": TEMPLATE,
        "criterion_or_chapter_id": "",
        "target": 0.1,
        "usecase_name": USECASE,
        "coaching_plan_name": "",
    }
    return TargetWrite.model_validate(identity | fields)


def test_an_update_is_a_patch_without_body_whose_query_holds_the_full_identity_even_where_empty() -> None:
    request = requests.update_target(_write())
    assert (request.method, urlsplit(request.path).path, request.body) == ("PATCH", f"/v1/{TARGET}", None)
    assert parse_qsl(urlsplit(request.path).query, keep_blank_values=True) == [
        ("target.scorecardTemplateName", TEMPLATE),
        ("target.criterionOrChapterId", ""),
        ("target.target", "0.1"),
        ("target.usecaseName", USECASE),
        ("target.coachingPlanName", ""),
    ]


def test_zero_is_sent_and_not_left_out() -> None:
    assert "target.target=0&" in requests.update_target(_write(target=0.0)).path


@pytest.mark.parametrize("text", ["a+b", "a%2Bb", "a b", "a&b=c", "ä€😀", "a@b", "a/b?c#d", "100%", "\u2028"])
def test_a_query_value_is_encoded_so_that_decoding_once_gives_it_back(text: str) -> None:
    query = urlsplit(requests.update_target(_write(criterion_or_chapter_id=text)).path).query
    assert query.isascii()
    assert ("target.criterionOrChapterId", text) in parse_qsl(query, strict_parsing=False)


def test_reading_and_deleting_a_target_name_it_in_the_path() -> None:
    get, delete = requests.get_target(TARGET), requests.delete_target(TARGET)
    assert (get.method, get.path, get.body) == ("GET", f"/v1/{TARGET}", None)
    assert (delete.method, delete.path, delete.body) == ("DELETE", f"/v1/{TARGET}", None)


def test_a_list_names_its_page_and_leaves_an_empty_token_out() -> None:
    assert requests.list_targets(PROFILE, "", 50).path == f"/v1/{PROFILE}/targets?pageSize=50"
    assert requests.list_targets(PROFILE, "a+/=", 50).path.endswith("?pageSize=50&pageToken=a%2B/%3D")


def test_a_creation_posts_the_bare_target_without_what_was_not_asked() -> None:
    request = requests.create_target(PROFILE, _write(target=12.5))
    assert (request.method, request.path) == ("POST", f"/v1/{PROFILE}/targets")
    assert json.loads(request.body or b"") == {
        "name": TARGET,
        "scorecardTemplateName": TEMPLATE,
        "criterionOrChapterId": "",
        "target": 12.5,
        "usecaseName": USECASE,
        "coachingPlanName": "",
    }


def test_a_quota_request_names_the_revision_in_the_path_and_the_rest_in_the_body() -> None:
    wish = {
        "scorecardTemplateName": f"{TEMPLATE}@7",
        "usecaseName": USECASE,
        "evaluationPeriod": {"startTime": "2026-01-05T00:00:00Z", "endTime": "2026-01-12T00:00:00+00:00"},
        "overrideTaskCompleteConfig": {"overriddenAgents": [{"user": "u", "evaluatedConversationCountPerAgent": 3}]},
    }
    request = requests.retrieve_quota(QuotaRequest.model_validate(wish))
    assert (request.method, request.path) == ("POST", f"/v1/{TEMPLATE}@7:retrieveTotalAgentQuota")
    assert json.loads(request.body or b"") == {
        "usecaseName": USECASE,
        "evaluationPeriod": {"startTime": "2026-01-05T00:00:00Z", "endTime": "2026-01-12T00:00:00Z"},
        "overrideTaskCompleteConfig": {"overriddenAgents": [{"user": "u", "evaluatedConversationCountPerAgent": 3}]},
    }


def test_a_quota_job_sends_nothing_of_its_own_to_the_remote() -> None:
    job = QuotaRecalculation.model_validate(
        {"scorecardTemplateName": f"{TEMPLATE}@7", "requestKey": "roster-17", "asOf": "2026-01-05T00:00:00Z"}
    )
    assert requests.retrieve_quota(job).body == b"{}"


def test_evaluation_periods_are_asked_for_a_template_without_revision() -> None:
    request = requests.retrieve_evaluation_periods(TEMPLATE, USECASE)
    assert (request.method, request.path) == ("POST", f"/v1/{TEMPLATE}:retrieveEvaluationPeriods")
    assert json.loads(request.body or b"") == {"usecaseName": USECASE}
    with pytest.raises(ValueError, match="takes no @revision"):
        requests.retrieve_evaluation_periods(f"{TEMPLATE}@7", USECASE)


@pytest.mark.parametrize("tail", ["..", "t-1/../t-2", "t-1?x=1", "t-1:cancel", "t%2F1", "", "t-1/"])
def test_a_name_that_would_reach_another_resource_is_a_bug_and_never_a_request(tail: str) -> None:
    with pytest.raises(ValueError, match=r"target name|is no id"):
        requests.delete_target(f"{PROFILE}/targets/{tail}")
