from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.sandbox_caller import PROFILE, Caller, calling

TEMPLATE = f"{PROFILE}/scorecardTemplates/empathy"
QUOTA = f"/v1/{TEMPLATE}@1:retrieveTotalAgentQuota"
PERIODS = f"/v1/{TEMPLATE}:retrieveEvaluationPeriods"
VOICE, CHAT = f"{PROFILE}/usecases/voice", f"{PROFILE}/usecases/chat"


@pytest.fixture(scope="module")
def api() -> Iterator[Caller]:
    with calling() as caller:
        agents = [
            {"user": "ada", "group": "tier-1", "usecases": [VOICE]},
            {"user": "bob", "group": "tier-1", "usecases": [VOICE, CHAT]},
            {"user": "cyd", "group": "tier-2", "usecases": [CHAT]},
            {"user": "dan", "active": False, "usecases": [VOICE], "until": "2026-01-15T00:00:00Z"},
        ]
        answer = caller.http.post("/_sandbox/roster", json={"profile": PROFILE, "agents": agents})
        assert answer.json() == {"agents": 4}
        yield caller


@pytest.mark.parametrize(
    ("body", "total", "agents"),
    [
        ({}, 12, 3),
        ({"usecaseName": VOICE}, 8, 2),
        ({"usecaseName": None, "overrideTaskCompleteConfig": None, "evaluationPeriod": None}, 12, 3),
        ({"overrideTaskCompleteConfig": {"evaluatedConversationCountPerAgent": 10}}, 30, 3),
        ({"overrideTaskCompleteConfig": {"evaluatedConversationCountPerAgent": "10"}}, 30, 3),
        (
            {
                "overrideTaskCompleteConfig": {
                    "evaluatedConversationCountPerAgent": 10,
                    "overriddenAgents": [
                        {"group": "tier-1", "evaluatedConversationCountPerAgent": 1},
                        {"user": "ada", "evaluatedConversationCountPerAgent": 3},
                    ],
                }
            },
            14,
            3,
        ),
        ({"evaluationPeriod": {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-02-01T00:00:00Z"}}, 16, 4),
        ({"evaluationPeriod": {"startTime": "2026-02-01T00:00:00Z", "endTime": "2026-03-01T00:00:00Z"}}, 12, 3),
        ({"unknownField": 1}, 12, 3),
    ],
)
def test_the_quota_is_that_of_the_roster_the_config_and_the_period(
    api: Caller, body: dict[str, Any], total: int, agents: int
) -> None:
    answer = api.http.post(QUOTA, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"totalAgentQuota": total, "totalActiveAgentsCount": agents}


def test_the_revisions_at_sign_may_be_encoded(api: Caller) -> None:
    assert api.http.post(QUOTA.replace("@", "%40"), json={}).json()["totalAgentQuota"] == 12


def test_the_body_is_required(api: Caller) -> None:
    assert api.http.post(QUOTA).status_code == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (QUOTA.replace("@1", "@99"), 404),
        (QUOTA.replace("@1", ""), 404),
        (QUOTA.replace("empathy", "unknown"), 404),
        (QUOTA + "s", 404),
        (PERIODS.replace("empathy", "unknown"), 404),
        (PERIODS.replace("empathy", "empathy@1"), 404),
    ],
)
def test_a_template_or_revision_that_is_not_there_is_not_found(api: Caller, path: str, status: int) -> None:
    assert api.http.post(path, json={}).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"usecaseName": 7},
        {"usecaseName": "voice"},
        {"overrideTaskCompleteConfig": 7},
        {"overrideTaskCompleteConfig": {"evaluatedConversationCountPerAgent": -1}},
        {"overrideTaskCompleteConfig": {"evaluatedConversationCountPerAgent": 2**31}},
        {"overrideTaskCompleteConfig": {"evaluatedConversationCountPerAgent": True}},
        {"overrideTaskCompleteConfig": {"evaluatedConversationCountPerAgent": 1.5}},
        {"overrideTaskCompleteConfig": {"evaluatedConversationCountPerAgent": "²"}},
        {"overrideTaskCompleteConfig": {"overriddenAgents": {}}},
        {"overrideTaskCompleteConfig": {"overriddenAgents": [7]}},
        {"overrideTaskCompleteConfig": {"overriddenAgents": [{"evaluatedConversationCountPerAgent": 1}]}},
        {"overrideTaskCompleteConfig": {"overriddenAgents": [{"user": 7}]}},
        {"evaluationPeriod": 7},
        {"evaluationPeriod": {"startTime": "2026-01-01T00:00:00Z"}},
        {"evaluationPeriod": {"startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-01T00:00:00Z"}},
        {"evaluationPeriod": {"startTime": "monday", "endTime": "2026-01-01T00:00:00Z"}},
    ],
)
def test_a_body_that_cannot_be_read_is_invalid(api: Caller, body: Any) -> None:
    answer = api.http.post(QUOTA, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)


def test_evaluation_periods_and_conversation_periods_are_aligned(api: Caller) -> None:
    answer = api.http.post(PERIODS, json={"usecaseName": VOICE}).json()
    assert answer["evaluationPeriods"][0] == {"startTime": "2025-12-29T00:00:00Z", "endTime": "2026-01-05T00:00:00Z"}
    assert len(answer["evaluationPeriods"]) == len(answer["conversationEvaluationPeriods"]) == 4
