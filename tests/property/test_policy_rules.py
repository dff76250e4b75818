"""Whatever the rules and the agent: which rule counts, since when, until when, and what a change asks anew."""

from datetime import UTC, datetime, timedelta

from hypothesis import assume, example, given
from hypothesis import strategies as st

from schemas.names import target_identity
from schemas.policy import Policy, QuotaRule, TargetRule
from schemas.roster import RosterAgent
from worker.core.policy import fits, policy_digest, quota_asks, review_at, wants_of

P = "customers/acme/profiles/support"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)
FOREVER = 100_000 * DAY
GROUPS = st.lists(st.sampled_from(["tier-1", "tier-2", "night"]), max_size=2)
USECASE = st.sampled_from(["voice", "chat"]).map(f"{P}/usecases/{{}}".format)
TEMPLATE = st.sampled_from(["compliance", "empathy"]).map(f"{P}/scorecardTemplates/{{}}".format)
DAYS = st.integers(0, 40).map(lambda days: BEGIN + days * DAY)

AGENT = st.builds(
    RosterAgent,
    agent=st.just("ann"),
    profile=st.just(P),
    groups=GROUPS.map(tuple),
    usecases=st.lists(USECASE, max_size=2).map(tuple),
    coaching_plan_name=st.sampled_from(["", f"{P}/coachingPlans/a", f"{P}/coachingPlans/b"]),
    joined_at=st.none() | DAYS,
)
TARGET_RULE = st.fixed_dictionaries(
    {
        "template": TEMPLATE,
        "usecase": USECASE,
        "criterion": st.sampled_from(["", "greeting"]),
        "groups": st.lists(st.sampled_from(["tier-1", "tier-2"]), max_size=1),
        "first_days": st.integers(1, 30) | st.none(),
        "target": st.integers(0, 100),
    }
)
HIRED = st.builds(
    RosterAgent,
    agent=st.just("ann"),
    profile=st.just(P),
    groups=GROUPS.map(tuple),
    usecases=st.just((f"{P}/usecases/voice",)),
    coaching_plan_name=st.just(f"{P}/coachingPlans/a"),
    joined_at=DAYS,
)
ONE_TARGET = {
    "template": f"{P}/scorecardTemplates/compliance",
    "usecase": f"{P}/usecases/voice",
    "criterion": "",
    "groups": (),
}
QUOTA_RULE = st.fixed_dictionaries(
    {"template": TEMPLATE.map("{}@3".format), "usecase": USECASE, "groups": GROUPS},
    optional={
        "period": st.sampled_from(["current", "next"]),
        "on": st.lists(st.sampled_from(["joined", "left", "moved"]), min_size=1, unique=True),
    },
)
TARGETS = st.lists(TARGET_RULE, max_size=8).map(
    lambda rules: Policy(targets=tuple(TargetRule(name=f"t{n}", **rule) for n, rule in enumerate(rules)))
)
RULES_OF_ONE_TARGET = st.lists(TARGET_RULE, min_size=2, max_size=6).map(
    lambda rules: Policy(targets=tuple(TargetRule(name=f"t{n}", **rule | ONE_TARGET) for n, rule in enumerate(rules)))
)
CASES = st.tuples(AGENT, TARGETS) | st.tuples(HIRED, RULES_OF_ONE_TARGET)
QUOTAS = st.lists(QUOTA_RULE, max_size=6).map(
    lambda rules: Policy(quotas=tuple(QuotaRule(name=f"q{n}", **rule) for n, rule in enumerate(rules)))
)


def identity(rule: TargetRule, agent: RosterAgent) -> str:
    return target_identity(rule.template, rule.usecase, rule.criterion, agent.coaching_plan_name)


def holds(rule: TargetRule, agent: RosterAgent, at: datetime) -> bool:
    if rule.first_days is None:
        return True
    return agent.joined_at is not None and at < agent.joined_at + rule.first_days * DAY


@given(CASES, DAYS)
def test_of_the_rules_for_a_target_the_first_that_fits_counts(case: tuple[RosterAgent, Policy], at: datetime) -> None:
    agent, policy = case
    expected: dict[str, str] = {}
    for rule in policy.targets:
        if agent.coaching_plan_name and fits(agent, rule) and holds(rule, agent, at):
            expected.setdefault(identity(rule, agent), rule.name)
    assert {want.identity: want.rule for want in wants_of(agent, policy, at, BEGIN)} == expected


@given(st.data(), AGENT, TARGETS, DAYS)
def test_the_order_of_rules_for_different_targets_does_not_matter(
    data: st.DataObject, agent: RosterAgent, policy: Policy, at: datetime
) -> None:
    def about(rule: TargetRule) -> tuple[str, ...]:
        return rule.template, rule.usecase, rule.criterion

    queues = {about(rule): [one for one in policy.targets if about(one) == about(rule)] for rule in policy.targets}
    shuffled = [queues[about(rule)].pop(0) for rule in data.draw(st.permutations(policy.targets))]
    other = Policy(targets=tuple(shuffled))
    assert wants_of(agent, other, at, BEGIN) == wants_of(agent, policy, at, BEGIN)
    assert review_at(agent, other, at) == review_at(agent, policy, at)


@given(CASES, DAYS)
def test_what_is_wanted_changes_at_the_time_of_the_review_and_at_no_other_before(
    case: tuple[RosterAgent, Policy], at: datetime
) -> None:
    agent, policy = case
    now, again = wants_of(agent, policy, at, BEGIN), review_at(agent, policy, at)
    assert again is None or again > at
    assert wants_of(agent, policy, again - MOMENT if again else at + FOREVER, BEGIN) == now
    if again:
        later = wants_of(agent, policy, again, BEGIN)
        assert {want.identity: want.rule for want in later} != {want.identity: want.rule for want in now}
        assert {want.as_of for want in set(later) - set(now)} <= {again}


@given(AGENT, TARGETS, DAYS, DAYS)
def test_a_want_is_never_older_than_what_it_follows_from_nor_of_a_time_to_come(
    agent: RosterAgent, policy: Policy, at: datetime, since: datetime
) -> None:
    assume(since <= at)
    assert all(since <= want.as_of <= at for want in wants_of(agent, policy, at, since))


@given(AGENT, TARGETS, DAYS)
@example(
    RosterAgent(
        agent="ann",
        profile=P,
        usecases=(f"{P}/usecases/voice",),
        coaching_plan_name=f"{P}/coachingPlans/a",
        joined_at=datetime.max.replace(tzinfo=UTC),
    ),
    Policy(
        targets=(
            TargetRule(
                name="t",
                template=f"{P}/scorecardTemplates/compliance",
                usecase=f"{P}/usecases/voice",
                first_days=3650,
                target=1,
            ),
        )
    ),
    BEGIN,
)
def test_each_want_says_what_it_is_for_and_nobody_without_a_plan_has_one(
    agent: RosterAgent, policy: Policy, at: datetime
) -> None:
    wants = wants_of(agent, policy, at, BEGIN)
    assert agent.coaching_plan_name or not wants
    for want in wants:
        parts = want.scorecard_template_name, want.usecase_name, want.criterion_or_chapter_id, want.coaching_plan_name
        assert want.identity == target_identity(*parts)
        assert want.coaching_plan_name == agent.coaching_plan_name


@given(st.none() | AGENT, QUOTAS)
def test_what_stays_as_it_is_asks_for_nothing(agent: RosterAgent | None, policy: Policy) -> None:
    assert quota_asks(agent, agent, policy) == ()


@given(st.none() | AGENT, AGENT, QUOTAS)
def test_the_same_agent_in_other_words_asks_for_the_same(
    before: RosterAgent | None, after: RosterAgent, policy: Policy
) -> None:
    said = after.model_dump(by_alias=True)
    again = {"groups": (*after.groups[::-1], *after.groups), "usecases": (*after.usecases[::-1], *after.usecases)}
    other = RosterAgent.model_validate(said | again)
    assert quota_asks(before, other, policy) == quota_asks(before, after, policy)
    assert quota_asks(after, other, policy) == ()


@given(st.none() | AGENT, st.none() | AGENT, st.none() | AGENT, QUOTAS)
def test_by_whatever_steps_a_change_comes_it_asks_for_all_that_it_would_ask_for_at_once(
    before: RosterAgent | None, between: RosterAgent | None, after: RosterAgent | None, policy: Policy
) -> None:
    attentive = Policy(
        quotas=tuple(rule.model_copy(update={"on": QuotaRule.model_fields["on"].default}) for rule in policy.quotas)
    )
    at_once = set(quota_asks(before, after, attentive))
    assert at_once <= {*quota_asks(before, between, attentive), *quota_asks(between, after, attentive)}


@given(AGENT, QUOTAS)
def test_who_comes_asks_for_the_same_as_who_goes_where_rules_are_about_both(agent: RosterAgent, policy: Policy) -> None:
    def ask(before: RosterAgent | None, after: RosterAgent | None, fact: str) -> set[str]:
        told = {rule.name for rule in policy.quotas if fact in rule.on}
        asked = {ask.rule for ask in quota_asks(before, after, policy)}
        assert asked == {name for name in told if fits(agent, next(r for r in policy.quotas if r.name == name))}
        return asked

    both = {rule.name for rule in policy.quotas if {"joined", "left"} <= set(rule.on)}
    assert ask(None, agent, "joined") & both == ask(agent, None, "left") & both


@given(TARGETS, QUOTAS, TARGETS)
def test_a_policy_is_known_by_what_it_says(targets: Policy, quotas: Policy, others: Policy) -> None:
    policy = Policy(quotas=quotas.quotas, targets=targets.targets)
    again = Policy.model_validate_json(policy.model_dump_json(exclude_defaults=True))
    assert again == policy
    assert policy_digest(again) == policy_digest(policy)
    other = Policy(quotas=quotas.quotas, targets=others.targets)
    assert (policy_digest(other) == policy_digest(policy)) == (other == policy)
