"""What is found about a policy: names that nobody knows, rules that never count, that overlap; in a good one none."""

from typing import Any

import pytest

from schemas.policy import Policy, QuotaRule, TargetRule
from schemas.roster import RosterAgent
from worker.core.policy_check import Finding, Kind, Known, TargetNames, check_policy

P = "customers/acme/profiles/support"
VOICE, CHAT = f"{P}/usecases/voice", f"{P}/usecases/chat"
COMPLIANCE, EMPATHY = f"{P}/scorecardTemplates/compliance", f"{P}/scorecardTemplates/empathy"
OTHER = "customers/globex/profiles/sales"
NO_ROSTER = Finding(Kind.UNCHECKED, "", "the roster is empty, so nobody can tell whom the rules fit")
NO_TARGETS = Finding(Kind.UNCHECKED, "", f"no target of {P} is known yet, so the names of templates are not checked")


def agent(name: str, *groups: str, **said: Any) -> RosterAgent:
    plan = f"{P}/coachingPlans/{name}"
    known: dict[str, Any] = {"usecases": [VOICE], "coachingPlanName": plan, "joinedAt": "2026-01-01T00:00:00Z"}
    return RosterAgent.model_validate({"agent": name, "profile": P, "groups": groups} | known | said)


TEAM = (agent("ann", "tier-1"), agent("bob", "tier-2"), agent("cid", "night", usecases=[CHAT]))
TARGETS = (TargetNames(COMPLIANCE, VOICE), TargetNames(COMPLIANCE, VOICE, "greeting"))
KNOWN = Known(TEAM, TARGETS)


def target(name: str = "t", **said: Any) -> TargetRule:
    return TargetRule.model_validate({"name": name, "template": COMPLIANCE, "usecase": VOICE, "target": 70} | said)


def quota(name: str = "q", **said: Any) -> QuotaRule:
    return QuotaRule.model_validate({"name": name, "template": f"{COMPLIANCE}@3", "usecase": VOICE} | said)


def findings(*rules: TargetRule | QuotaRule, known: Known = KNOWN) -> list[Finding]:
    quotas = tuple(rule for rule in rules if isinstance(rule, QuotaRule))
    targets = tuple(rule for rule in rules if isinstance(rule, TargetRule))
    return list(check_policy(Policy(quotas=quotas, targets=targets), known))


def found(*rules: TargetRule | QuotaRule, known: Known = KNOWN) -> list[tuple[str, str, str]]:
    return [(str(one.kind), one.rule, one.says) for one in findings(*rules, known=known)]


def test_nothing_is_found_about_a_clean_policy() -> None:
    rules = (
        quota(),
        quota("night", usecase=CHAT, groups=["night"]),
        target("second tier", groups=["tier-2"]),
        target("first tier", groups=["tier-1"]),
        target("greeting", criterion="greeting"),
    )
    assert findings(*rules) == []
    assert findings() == []


# What nobody knows


@pytest.mark.parametrize("rule", [target(groups=["tier-1", "teir-2"]), quota(groups=["teir-2"])])
def test_a_group_that_nobody_is_in_is_unknown_and_a_similar_one_is_named(rule: TargetRule | QuotaRule) -> None:
    says = "nobody in the roster is in the group 'teir-2'; did you mean 'tier-2'?"
    assert found(rule) == [("unknown", rule.name, says)]


def test_where_nothing_is_similar_the_first_few_that_there_are_are_named() -> None:
    crowd = [agent("ann", *(f"g{number}" for number in range(8)))]
    ((_, _, says),) = found(quota(groups=["night"]), known=Known(crowd, TARGETS))
    assert says == "nobody in the roster is in the group 'night'; there are g0, g1, g2, g3, g4 and 3 more"


def test_a_usecase_that_nobody_has_is_unknown() -> None:
    ((kind, _, says),) = found(quota(usecase=f"{P}/usecases/voise"))
    assert (kind, says) == (
        "unknown",
        f"nobody in the roster has the usecase '{P}/usecases/voise'; did you mean {VOICE!r}?",
    )


def test_a_name_is_not_similar_for_what_all_names_have_in_common() -> None:
    ((_, _, says),) = found(quota(usecase=f"{P}/usecases/email"))
    assert says == f"nobody in the roster has the usecase '{P}/usecases/email'; there are {CHAT}, {VOICE}"


def test_a_usecase_of_which_only_targets_are_known_is_unknown_but_no_mistyped_one() -> None:
    known = Known(TEAM[:1], (*TARGETS, TargetNames(COMPLIANCE, CHAT)))
    ((_, _, says),) = found(quota(usecase=CHAT), known=known)
    assert says.startswith(f"nobody in the roster has the usecase {CHAT!r}, though targets or quotas of it are known")


@pytest.mark.parametrize("rule", [quota(template=f"{P}/scorecardTemplates/complience@3"), target(template=EMPATHY)])
def test_a_template_that_no_known_target_is_of_is_unknown(rule: TargetRule | QuotaRule) -> None:
    template = rule.template.partition("@")[0]
    ((kind, name, says),) = found(rule)
    assert (kind, name) == ("unknown", rule.name)
    assert says.startswith(f"no known target is of the template {template!r}; ")
    assert COMPLIANCE in says


def test_a_template_is_known_by_a_quota_that_was_answered() -> None:
    rule = quota(template=f"{EMPATHY}@7")
    assert found(rule) != []
    assert found(rule, known=Known(TEAM, TARGETS, [TargetNames(EMPATHY, VOICE)])) == []


def test_a_rule_that_makes_targets_may_name_a_template_that_has_none() -> None:
    says = f"no known target is of the template {EMPATHY!r}: it makes the first"
    assert found(target(template=EMPATHY, create=True)) == [("unchecked", "t", says)]


def test_a_criterion_that_the_template_has_no_target_of_is_unknown_unless_the_rule_makes_it() -> None:
    says = "no known target of its template is for the criterion or chapter 'greting'; did you mean 'greeting'?"
    assert found(target(criterion="greting")) == [("unknown", "t", says)]
    assert found(target(criterion="greting", create=True)) == []


def test_a_template_of_which_only_criteria_have_targets_is_not_known_as_a_whole() -> None:
    known = Known(TEAM, [TargetNames(COMPLIANCE, VOICE, "greeting")])
    says = "no known target of its template is for the whole template; there are greeting"
    assert found(target(), known=known) == [("unknown", "t", says)]


def test_a_profile_that_the_roster_has_nobody_of_is_unknown() -> None:
    rule = quota(template=f"{OTHER}/scorecardTemplates/c@1", usecase=f"{OTHER}/usecases/voice")
    assert ("unknown", "q", f"the roster has nobody of {OTHER}; there are {P}") in found(rule)


def test_a_customer_whom_no_remote_serves_is_unknown_with_the_remedy() -> None:
    known = Known(TEAM, TARGETS, unserved={"acme": "no remote serves acme; name it"})
    assert found(quota(), known=known) == [("unknown", "q", "no remote serves acme; name it")]


def test_what_nobody_can_tell_yet_is_no_mistake_and_is_said_once() -> None:
    nothing = findings(quota(), target(), known=Known(()))
    assert nothing == [NO_ROSTER, NO_TARGETS]
    assert not any(one.wrong for one in nothing)


# What never counts


@pytest.mark.parametrize("rule", [quota(groups=["night"]), target(groups=["night"], create=True)])
@pytest.mark.parametrize("known", [KNOWN, Known(TEAM)])
def test_a_rule_that_fits_nobody_never_counts_whether_or_not_its_template_is_known(
    rule: TargetRule | QuotaRule, known: Known
) -> None:
    """Somebody has the usecase and somebody is in the group, and nobody both."""
    says = "nobody in the roster fits: it is about the usecase 'voice' and the group 'night'"
    assert ("never", rule.name, says) in found(rule, known=known)


def test_of_an_empty_roster_nobody_says_that_a_rule_fits_nobody() -> None:
    assert {one.kind for one in findings(quota(), target(first_days=3), known=Known((), TARGETS))} == {Kind.UNCHECKED}


@pytest.mark.parametrize(
    ("above", "below", "over"),
    [
        ([target("all")], target("late", groups=["tier-2"]), "'all' comes"),
        ([target("all")], target("late", first_days=30), "'all' comes"),
        ([target("month", first_days=30)], target("late", first_days=7), "'month' comes"),
        (
            [target("one", groups=["tier-1"]), target("two", groups=["tier-2"])],
            target("late", groups=["tier-1", "tier-2"]),
            "'one' and 'two' come",
        ),
    ],
)
def test_a_rule_below_one_that_fits_all_whom_it_fits_for_as_long_never_counts(
    above: list[TargetRule], below: TargetRule, over: str
) -> None:
    says = f"it never counts: {over} before it: whom it fits they fit too, for as long"
    assert [(kind, rule, words) for kind, rule, words in found(*above, below) if kind == "never"] == [
        ("never", "late", says)
    ]
    assert ("never", "late") not in [(kind, rule) for kind, rule, _ in found(below, *above)]


@pytest.mark.parametrize(
    "below",
    [target("late", first_days=30), target("late", criterion="greeting"), target("late", groups=["tier-2"])],
)
def test_a_rule_for_longer_for_something_else_or_for_others_counts_below(below: TargetRule) -> None:
    above = target("first", first_days=7, groups=["tier-1"])
    assert "never" not in [kind for kind, _, _ in found(above, below)]


def test_a_rule_that_earlier_ones_leave_nobody_of_this_roster_to_never_counts() -> None:
    rules = target("one", groups=["tier-1"]), target("two", groups=["tier-2"]), target("others")
    says = "it never counts: 'one' and 'two' come before it for all that it fits (2 agents)"
    assert found(*rules) == [("never", "others", says)]
    with_one_more = found(*rules, known=Known((*TEAM, agent("dan")), TARGETS))
    assert "never" not in [kind for kind, _, _ in with_one_more]


def test_a_rule_about_agents_without_a_plan_never_counts() -> None:
    known = Known([agent("ann", coachingPlanName="")], TARGETS)
    says = "it fits 1 agent, none with a coaching plan that a target could hang on"
    assert found(target(), known=known) == [("never", "t", says)]


def test_a_rule_about_first_days_never_counts_where_nobody_knows_when_they_joined() -> None:
    known = Known([agent("ann", joinedAt=None), agent("bob", joinedAt=None)], TARGETS)
    says = "it fits 2 agents, and of none it is known when they joined"
    assert found(target(first_days=30), known=known) == [("never", "t", says)]


# What overlaps


def test_of_two_rules_for_the_same_target_it_is_said_which_goes_first_and_for_how_many() -> None:
    rules = target("second tier", groups=["tier-2"]), target("everybody")
    known = Known((*TEAM, agent("dan", "tier-2"), agent("eve", "tier-2", coachingPlanName="")), TARGETS)
    (overlap,) = findings(*rules, known=known)
    assert overlap == Finding(Kind.OVERLAP, "second tier", "goes before 'everybody' for 2 agents whom both fit")
    assert not overlap.wrong


def test_who_joined_at_a_time_that_nobody_knows_is_in_no_overlap_of_first_days() -> None:
    rules = target("new hires", first_days=90), target("everybody")
    known = Known([agent("ann"), agent("bob", joinedAt=None)], TARGETS)
    says = "goes before 'everybody' for 1 agent whom both fit in their first 90 days"
    assert found(*rules, known=known) == [("overlap", "new hires", says)]


def test_a_rule_that_never_counts_overlaps_with_nobody() -> None:
    assert [kind for kind, _, _ in found(target("all"), target("late"))] == ["never"]


def test_two_quota_rules_that_ask_the_same_question_ask_it_once() -> None:
    says = "asks the same as 'q': what both ask for is asked once"
    assert found(quota(), quota("again", on=["left"])) == [("overlap", "again", says)]
    assert found(quota(), quota("next", period="next")) == []


def test_findings_come_in_the_order_of_the_rules_and_what_is_about_all_of_them_first() -> None:
    rules = (quota("b", groups=["x"]), quota("a", groups=["x"]), target("c", groups=["x"]))
    found_here = findings(*rules, known=Known(TEAM))
    assert [one.rule for one in found_here] == ["", "b", "a", "a", "c"]
