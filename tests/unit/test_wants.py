"""What is wanted now, against what was wanted so far."""

from dataclasses import replace
from datetime import UTC, datetime

from schemas.policy import Policy, TargetRule
from worker.core.policy import WantedTarget
from worker.core.wants import best_of, changes, count_changed

HOME = "customers/acme/profiles/main"
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def rule(name: str) -> TargetRule:
    return TargetRule(name=name, template=f"{HOME}/scorecardTemplates/s", usecase=f"{HOME}/usecases/u", target=1)


POLICY = Policy(targets=(rule("first"), rule("second")))


def want(what: str = "x", value: float = 50, agent: str = "ann", by: str = "second") -> WantedTarget:
    return WantedTarget(what, HOME, agent, "s", "u", "", "p", value, NOW, by, creates=True, drift=None)


def by_identity(*wanted: WantedTarget) -> dict[str, WantedTarget]:
    return {one.identity: one for one in wanted}


def test_of_those_who_share_a_target_the_first_rule_counts_and_then_the_first_name() -> None:
    ann, bob, cid = want(agent="ann"), want(agent="bob", by="first"), want(agent="cid", by="first")
    for order in ([ann, bob, cid], [cid, bob, ann], [bob, ann, cid]):
        assert best_of(order, POLICY) == {"x": bob}
    other = want("y", agent="cid")
    assert best_of([ann, other], POLICY) == {"x": ann, "y": other}


def test_a_want_is_new_by_its_value_or_its_agent_and_by_nothing_else() -> None:
    before = by_identity(want("a"), want("b"), want("c"), want("d"), want("gone"))
    now = [want("a"), want("b", 60), want("c", agent="bob"), want("d", by="first"), want("e")]
    found = changes(before, by_identity(*now))
    assert found.new == (now[1], now[2], now[4])
    assert found.explained == (now[3],)
    assert found.dropped == ("gone",)


def test_a_later_time_alone_changes_nothing() -> None:
    later = replace(want(), as_of=datetime(2027, 1, 1, tzinfo=UTC))
    assert changes(by_identity(want()), by_identity(later)) == changes({}, {})


def test_what_is_given_to_or_taken_from_the_remotes_values_is_counted_and_what_is_new_is_not() -> None:
    before = by_identity(want("a"), want("b"), want("c"))
    assert count_changed(before, by_identity(want("a"), want("b", 60), want("d"))) == 2
    assert count_changed({}, before) == 0
