"""Events tried on a policy, one after another: what each asks for, seen from what the ones before have left."""

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.policy import Policy, QuotaRule, TargetRule
from schemas.roster import RosterAgent
from worker.core.policy_trial import Step, Tried, try_policy

P = "customers/acme/profiles/support"
VOICE, CHAT = f"{P}/usecases/voice", f"{P}/usecases/chat"
COMPLIANCE = f"{P}/scorecardTemplates/compliance"
JOINED = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
AT = JOINED + 10 * DAY


def agent(name: str = "ann", **said: Any) -> RosterAgent:
    plan = f"{P}/coachingPlans/{name}"
    known: dict[str, Any] = {"groups": ["tier-1"], "usecases": [VOICE], "coachingPlanName": plan, "joinedAt": JOINED}
    return RosterAgent.model_validate({"agent": name, "profile": P} | known | said)


def rule(name: str, target: float, **said: Any) -> TargetRule:
    return TargetRule.model_validate({"name": name, "template": COMPLIANCE, "usecase": VOICE, "target": target} | said)


POLICY = Policy(
    quotas=(QuotaRule(name="voice quota", template=f"{COMPLIANCE}@3", usecase=VOICE),),
    targets=(
        rule("new hires", 60, first_days=30),
        rule("second tier", 85, groups=["tier-2"]),
        rule("night", 75, groups=["night"]),
        rule("everybody", 75),
    ),
)
LONG_THERE = agent(joinedAt=JOINED - 400 * DAY)
NOTHING = ([], [], [], [])


def step(before: RosterAgent | None, after: RosterAgent | None) -> Step:
    return Step(before, after, AT)


def tried(*steps: Step, sharing: tuple[RosterAgent, ...] = (), policy: Policy = POLICY) -> list[Tried]:
    return [*try_policy(policy, steps, sharing, AT)]


def told(one: Tried) -> tuple[list[str], list[tuple[str, str, float]], list[str], list[str]]:
    """Rules that ask for quotas; agent, rule and value of new wants; rules that explain old ones; plans dropped."""
    return (
        [ask.rule for ask in one.quotas],
        [(want.agent, want.rule, want.target) for want in one.targets.new],
        [want.rule for want in one.targets.explained],
        [identity.rpartition("=")[2] for identity in one.targets.dropped],
    )


def test_who_joins_asks_for_a_quota_and_a_target_and_again_when_their_first_days_are_over() -> None:
    (one,) = tried(step(None, agent()))
    assert told(one) == (["voice quota"], [("ann", "new hires", 60.0)], [], [])
    assert one.again == JOINED + 30 * DAY


def test_who_leaves_asks_for_a_quota_and_their_target_is_wanted_no_more() -> None:
    (one,) = tried(step(LONG_THERE, None), sharing=(LONG_THERE,))
    assert told(one) == (["voice quota"], [], [], ["ann"])
    assert one.again is None


def test_the_same_value_by_another_rule_is_no_new_wish() -> None:
    night = LONG_THERE.model_copy(update={"groups": ("night",)})
    (one,) = tried(step(LONG_THERE, night), sharing=(LONG_THERE,))
    assert told(one) == (["voice quota"], [], ["night"], [])


def test_who_gets_another_plan_leaves_the_old_target_as_it_is() -> None:
    other = LONG_THERE.model_copy(update={"coaching_plan_name": f"{P}/coachingPlans/x"})
    (one,) = tried(step(LONG_THERE, other), sharing=(LONG_THERE,))
    assert told(one) == (["voice quota"], [("ann", "everybody", 75.0)], [], ["ann"])


def test_each_event_starts_from_what_the_one_before_has_left() -> None:
    second = LONG_THERE.model_copy(update={"groups": ("tier-2",)})
    steps = step(None, LONG_THERE), step(LONG_THERE, second), step(second, None)
    assert [told(one)[1:] for one in tried(*steps)] == [
        ([("ann", "everybody", 75.0)], [], []),
        ([("ann", "second tier", 85.0)], [], []),
        ([], [], ["ann"]),
    ]


def test_who_shares_a_plan_counts_though_no_event_is_about_them() -> None:
    """The rule that comes first has the say; when its agent leaves, the next one's has."""
    plan = f"{P}/coachingPlans/team"
    bob = agent("bob", groups=["tier-2"], coachingPlanName=plan, joinedAt=None)
    ann = agent(coachingPlanName=plan, joinedAt=None)
    joins, leaves = tried(step(None, ann), step(bob, None), sharing=(bob,))
    assert told(joins)[1:] == NOTHING[1:]
    assert told(leaves)[1:] == ([("ann", "everybody", 75.0)], [], [])


def test_an_event_that_changes_nothing_asks_for_nothing() -> None:
    same, gone = tried(step(LONG_THERE, LONG_THERE), step(None, None), sharing=(LONG_THERE,))
    assert told(same) == told(gone) == NOTHING


def test_a_policy_without_rules_asks_for_nothing() -> None:
    (one,) = tried(step(None, agent()), policy=Policy())
    assert told(one) == NOTHING
    assert one.again is None


def test_no_events_are_tried_as_none() -> None:
    assert tried() == []


def test_whom_no_rule_is_about_asks_for_nothing() -> None:
    chats, planless = tried(step(None, agent(usecases=[CHAT])), step(None, agent("bob", coachingPlanName="")))
    assert told(chats) == NOTHING
    assert told(planless) == (["voice quota"], [], [], [])
