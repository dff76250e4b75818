"""Pure: a policy held against what is known: rules that overlap, that never count, that name what nobody knows."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from itertools import combinations, groupby

from schemas.names import customer_of, profile_of
from schemas.policy import Policy, QuotaRule, TargetRule
from schemas.roster import RosterAgent
from worker.core.policy import fits, quota_wish
from worker.counts import counted

Rule = QuotaRule | TargetRule
_MOST_NAMED = 5


class Kind(StrEnum):
    """``unknown`` and ``never`` are wrong. ``overlap`` says who goes first, ``unchecked`` what nobody can tell yet."""

    UNKNOWN = "unknown"
    NEVER = "never"
    OVERLAP = "overlap"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Finding:
    """``rule`` is empty where it is about all of them."""

    kind: Kind
    rule: str
    says: str

    @property
    def wrong(self) -> bool:
        return self.kind in (Kind.UNKNOWN, Kind.NEVER)


@dataclass(frozen=True, slots=True)
class TargetNames:
    """What a known target, or a quota that was answered, is for. A template has no revision here."""

    template: str
    usecase: str
    criterion: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What a policy can be held against. ``unserved``: customers whom no remote serves, with the remedy."""

    agents: Collection[RosterAgent]
    targets: Collection[TargetNames] = ()
    quotas: Collection[TargetNames] = ()
    unserved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Alike:
    """Agents who are the same to every rule, and how many they are."""

    one: RosterAgent
    number: int


def check_policy(policy: Policy, known: Known) -> tuple[Finding, ...]:
    """In the order of the rules: what is unknown first, because of it a rule may fit nobody."""
    crowd = _crowd(known.agents)
    earlier = [policy.targets[:number] for number in range(len(policy.targets))]
    found = [[*_quota_findings(rule, crowd, known)] for rule in policy.quotas]
    found += [
        [*_target_findings(rule, before, crowd, known)] for rule, before in zip(policy.targets, earlier, strict=True)
    ]
    findings = [one for of_rule in found for one in of_rule]
    findings += _questions_shared(policy.quotas)
    dead = {one.rule for one in findings if one.kind is Kind.NEVER}
    findings += _targets_shared([rule for rule in policy.targets if rule.name not in dead], crowd)
    names = [*(rule.name for rule in policy.quotas), *(rule.name for rule in policy.targets)]
    place = {name: number for number, name in enumerate(names)}
    return tuple(sorted(dict.fromkeys(findings), key=lambda one: place.get(one.rule, -1)))


def _crowd(agents: Iterable[RosterAgent]) -> list[_Alike]:
    """Who they are does not matter, nor which plan they have or when they joined: whether they do."""
    numbers: Counter[tuple[object, ...]] = Counter()
    examples: dict[tuple[object, ...], RosterAgent] = {}
    for one in agents:
        kind = (one.profile, one.usecases, one.groups, bool(one.coaching_plan_name), one.joined_at is None)
        numbers[kind] += 1
        examples[kind] = one
    return [_Alike(one, numbers[kind]) for kind, one in examples.items()]


def _quota_findings(rule: QuotaRule, crowd: Sequence[_Alike], known: Known) -> Iterator[Finding]:
    found = [*_unknown(rule, crowd, known)]
    yield from found
    if crowd and not _names_unknown(found) and not _fitting(rule, crowd):
        yield Finding(Kind.NEVER, rule.name, f"nobody in the roster fits: {_whom(rule)}")


def _target_findings(
    rule: TargetRule, before: Sequence[TargetRule], crowd: Sequence[_Alike], known: Known
) -> Iterator[Finding]:
    found = [*_unknown(rule, crowd, known), *_unknown_criterion(rule, known)]
    yield from found
    if over := _always_first(rule, before):
        yield Finding(Kind.NEVER, rule.name, f"{_named(over)} before it: whom it fits they fit too, for as long")
    elif crowd and not _names_unknown(found) and (why := _nobody(rule, before, crowd)):
        yield Finding(Kind.NEVER, rule.name, why)


def _names_unknown(found: Iterable[Finding]) -> bool:
    return any(one.kind is Kind.UNKNOWN for one in found)


def _unknown(rule: Rule, crowd: Sequence[_Alike], known: Known) -> Iterator[Finding]:
    home = profile_of(rule.template)
    here = [alike.one for alike in crowd if alike.one.profile == home]
    if (customer := customer_of(home)) in known.unserved:
        yield Finding(Kind.UNKNOWN, rule.name, known.unserved[customer])
    elif not crowd:
        yield Finding(Kind.UNCHECKED, "", "the roster is empty, so nobody can tell whom the rules fit")
    elif not here:
        there = _there_are({alike.one.profile for alike in crowd}, home)
        yield Finding(Kind.UNKNOWN, rule.name, f"the roster has nobody of {home}{there}")
    else:
        yield from _unknown_people(rule, here, known)
    yield from _unknown_template(rule, known)


def _unknown_people(rule: Rule, here: Sequence[RosterAgent], known: Known) -> Iterator[Finding]:
    usecases = {usecase for one in here for usecase in one.usecases}
    if rule.usecase not in usecases:
        more = {one.usecase for one in (*known.targets, *known.quotas)}
        there = _there_are(usecases, rule.usecase)
        only = ", though targets or quotas of it are known" if rule.usecase in more else ""
        yield Finding(Kind.UNKNOWN, rule.name, f"nobody in the roster has the usecase {rule.usecase!r}{only}{there}")
    groups = {group for one in here for group in one.groups}
    for group in rule.groups:
        if group not in groups:
            there = _there_are(groups, group)
            yield Finding(Kind.UNKNOWN, rule.name, f"nobody in the roster is in the group {group!r}{there}")


def _unknown_template(rule: Rule, known: Known) -> Iterator[Finding]:
    home, template = profile_of(rule.template), rule.template.partition("@")[0]
    names = {one.template for one in (*known.targets, *known.quotas) if one.template.startswith(f"{home}/")}
    if template in names:
        return
    if not names:
        yield Finding(
            Kind.UNCHECKED, "", f"no target of {home} is known yet, so the names of templates are not checked"
        )
    elif isinstance(rule, TargetRule) and rule.create:
        yield Finding(Kind.UNCHECKED, rule.name, f"no known target is of the template {template!r}: it makes the first")
    else:
        there = _there_are(names, template)
        yield Finding(Kind.UNKNOWN, rule.name, f"no known target is of the template {template!r}{there}")


def _unknown_criterion(rule: TargetRule, known: Known) -> Iterator[Finding]:
    criteria = {one.criterion for one in known.targets if one.template == rule.template}
    if criteria and rule.criterion not in criteria and not rule.create:
        there = _there_are(criteria - {""}, rule.criterion)
        what = f"the criterion or chapter {rule.criterion!r}" if rule.criterion else "the whole template"
        yield Finding(Kind.UNKNOWN, rule.name, f"no known target of its template is for {what}{there}")


def _always_first(rule: TargetRule, before: Sequence[TargetRule]) -> list[TargetRule]:
    """Earlier rules that leave nothing to this one, whoever is in the roster."""
    over = [one for one in before if _about(one) == _about(rule) and _lasts(one, rule)]
    if anybody := [one for one in over if not one.groups]:
        return anybody[:1]
    taken = {group for one in over for group in one.groups}
    if not rule.groups or not taken.issuperset(rule.groups):
        return []
    return [one for one in over if not set(one.groups).isdisjoint(rule.groups)]


def _nobody(rule: TargetRule, before: Sequence[TargetRule], crowd: Sequence[_Alike]) -> str | None:
    """Why it counts for nobody of the roster as it is; None where it does, or will, or did in first days."""
    fitting = _fitting(rule, crowd)
    if not fitting:
        return f"nobody in the roster fits: {_whom(rule)}"
    if not (planned := [alike for alike in fitting if alike.one.coaching_plan_name]):
        return f"it fits {_number(fitting)}, none with a coaching plan that a target could hang on"
    if rule.first_days and not (planned := [alike for alike in planned if alike.one.joined_at]):
        return f"it fits {_number(fitting)}, and of none it is known when they joined"
    over = [_first_over(rule, before, alike.one) for alike in planned]
    if not all(over):
        return None
    return f"{_named([one for one in before if one in over])} before it for all that it fits ({_number(fitting)})"


def _first_over(rule: TargetRule, before: Sequence[TargetRule], agent: RosterAgent) -> TargetRule | None:
    """The earlier rule that counts for the agent whenever this one would."""
    for one in before:
        if _about(one) == _about(rule) and _may_have(agent, one) and _lasts(one, rule):
            return one
    return None


def _questions_shared(rules: Sequence[QuotaRule]) -> Iterator[Finding]:
    def resource(rule: QuotaRule) -> str:
        return quota_wish(rule).resource

    for _, group in groupby(sorted(rules, key=resource), key=resource):
        first, *others = group
        for one in others:
            says = f"asks the same as {first.name!r}: what both ask for is asked once"
            yield Finding(Kind.OVERLAP, one.name, says)


def _targets_shared(rules: Sequence[TargetRule], crowd: Sequence[_Alike]) -> Iterator[Finding]:
    for one, other in combinations(rules, 2):
        if _about(one) != _about(other):
            continue
        if both := [alike for alike in crowd if _may_have(alike.one, one) and _may_have(alike.one, other)]:
            days = f" in their first {one.first_days} days" if one.first_days else ""
            says = f"goes before {other.name!r} for {_number(both)} whom both fit{days}"
            yield Finding(Kind.OVERLAP, one.name, says)


def _may_have(agent: RosterAgent, rule: TargetRule) -> bool:
    """Whether there is a time at which the rule counts for the agent, other rules aside."""
    knows_when = rule.first_days is None or agent.joined_at is not None
    return bool(agent.coaching_plan_name) and knows_when and fits(agent, rule)


def _about(rule: TargetRule) -> tuple[str, str, str]:
    """With an agent's plan it is what a target is for."""
    return rule.template, rule.usecase, rule.criterion


def _lasts(one: TargetRule, other: TargetRule) -> bool:
    """Whether it is over no earlier."""
    return one.first_days is None or (other.first_days is not None and other.first_days <= one.first_days)


def _fitting(rule: Rule, crowd: Iterable[_Alike]) -> list[_Alike]:
    return [alike for alike in crowd if fits(alike.one, rule)]


def _number(some: Iterable[_Alike]) -> str:
    return counted(sum(alike.number for alike in some), "agent")


def _whom(rule: Rule) -> str:
    groups = " or ".join(map(repr, rule.groups))
    return f"it is about the usecase {rule.usecase.rpartition('/')[2]!r}" + (
        f" and the group {groups}" if groups else ""
    )


def _named(rules: Sequence[Rule]) -> str:
    names = " and ".join(repr(rule.name) for rule in rules)
    return f"it never counts: {names} {'comes' if len(rules) == 1 else 'come'}"


def _there_are(names: Collection[str], wrong: str) -> str:
    """By their ids: whole names are alike before anything is mistyped."""
    by_id = {name.rpartition("/")[2]: name for name in sorted(names)}
    if near := get_close_matches(wrong.rpartition("/")[2], by_id, n=1, cutoff=0.6):
        return f"; did you mean {by_id[near[0]]!r}?"
    shown = ", ".join(sorted(names)[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return f"; there are {shown}{more}" if names else ""
