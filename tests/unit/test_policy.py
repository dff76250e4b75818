"""What the policy makes of one agent: examples that a person can follow."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.policy import Fact, Policy, QuotaRule, TargetRule
from schemas.roster import RosterAgent
from worker.core.policy import quota_asks, quota_wish, review_at, wants_of

P = "customers/acme/profiles/support"
VOICE, CHAT = f"{P}/usecases/voice", f"{P}/usecases/chat"
COMPLIANCE = f"{P}/scorecardTemplates/compliance"
JOINED = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def agent(**said: Any) -> RosterAgent:
    known: dict[str, Any] = {"groups": ["tier-1"], "usecases": [VOICE], "coachingPlanName": f"{P}/coachingPlans/a"}
    return RosterAgent.model_validate({"agent": "ann", "profile": P, "joinedAt": JOINED} | known | said)


def target_rule(name: str, target: float, **said: Any) -> TargetRule:
    return TargetRule.model_validate({"name": name, "template": COMPLIANCE, "usecase": VOICE, "target": target} | said)


def quota_rule(**said: Any) -> QuotaRule:
    return QuotaRule.model_validate({"name": "q", "template": f"{COMPLIANCE}@3", "usecase": VOICE} | said)


STEPS = Policy(
    targets=(
        target_rule("first week", 40, first_days=7),
        target_rule("first month", 60, first_days=30),
        target_rule("everybody", 80),
        target_rule("too late", 99, first_days=90),
    )
)


@pytest.mark.parametrize(
    ("day", "rule", "since", "again"),
    [
        (-3, "first week", -5, 7),
        (0, "first week", -5, 7),
        (7, "first month", 7, 30),
        (29, "first month", 7, 30),
        (30, "everybody", 30, None),
        (90, "everybody", 30, None),
    ],
)
def test_the_first_days_end_one_after_another_and_what_no_rule_says_is_no_end(
    day: int, rule: str, since: int, again: int | None
) -> None:
    at = JOINED + day * DAY
    (want,) = wants_of(agent(), STEPS, at, JOINED - 5 * DAY)
    assert (want.rule, want.as_of) == (rule, JOINED + since * DAY)
    assert review_at(agent(), STEPS, at) == (None if again is None else JOINED + again * DAY)


def test_whose_time_of_joining_nobody_knows_is_in_no_first_days() -> None:
    (want,) = wants_of(agent(joinedAt=None), STEPS, JOINED, JOINED)
    assert want.rule == "everybody"
    assert review_at(agent(joinedAt=None), STEPS, JOINED) is None


def test_nothing_is_wanted_of_who_has_no_plan_or_is_not_in_the_usecase() -> None:
    assert wants_of(agent(coachingPlanName=""), STEPS, JOINED, JOINED) == ()
    assert wants_of(agent(usecases=[CHAT]), STEPS, JOINED, JOINED) == ()


@pytest.mark.parametrize(
    ("before", "after", "fact"),
    [
        (None, agent(), Fact.JOINED),
        (agent(), None, Fact.LEFT),
        (agent(usecases=[CHAT]), agent(), Fact.JOINED),
        (agent(), agent(usecases=[CHAT]), Fact.LEFT),
        (agent(), agent(groups=["tier-2"]), Fact.MOVED),
        (agent(), agent(coachingPlanName=""), Fact.MOVED),
        (agent(), agent(usecases=[CHAT, VOICE]), None),
        (agent(), agent(joinedAt=None), None),
        (agent(usecases=[CHAT]), None, None),
        (None, None, None),
    ],
)
def test_a_change_is_seen_from_the_usecase(
    before: RosterAgent | None, after: RosterAgent | None, fact: Fact | None
) -> None:
    facts = [one for one in Fact if quota_asks(before, after, Policy(quotas=(quota_rule(on=[one]),)))]
    assert facts == ([fact] if fact else [])


def test_a_change_is_seen_from_the_groups_where_the_rule_names_some() -> None:
    night = Policy(quotas=(quota_rule(groups=["night"], on=["joined", "left"]),))
    tier_1, both = agent(), agent(groups=["night", "tier-1"])
    assert len(quota_asks(tier_1, both, night)) == len(quota_asks(both, tier_1, night)) == 1
    assert quota_asks(None, tier_1, night) == ()


def test_a_rule_asks_for_its_template_its_period_and_its_override() -> None:
    period = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-04-01T00:00:00Z"}
    override = {"overriddenAgents": [{"group": "night", "evaluatedConversationCountPerAgent": 2}]}
    assert quota_wish(quota_rule(period="next")).resource == f"{COMPLIANCE}@3/quota;usecase=voice;period=next"
    wish = quota_wish(quota_rule(period=period, override=override))
    assert wish.body() == {
        "usecaseName": VOICE,
        "evaluationPeriod": period,
        "overrideTaskCompleteConfig": override,
    }
