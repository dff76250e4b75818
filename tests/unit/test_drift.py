"""What differs between a wish and what the remote has, and what is done about it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.coaching import Target
from schemas.numbers import same_float32
from schemas.policy import DriftMode
from worker.core.drift import Action, Kind, Modes, Wished, action_of, compare

HOME = "customers/acme/profiles/support"
THEN = datetime(2026, 1, 1, tzinfo=UTC)
OBSERVE = Modes(DriftMode.OBSERVE, DriftMode.OBSERVE)
PERCENT = st.floats(0, 100, width=32)


def wished(target: float = 80.0, **said: object) -> Wished:
    fields = {
        "target": target,
        "qa_score": None,
        "scorecard_template_name": f"{HOME}/scorecardTemplates/t",
        "usecase_name": f"{HOME}/usecases/u",
        "criterion_or_chapter_id": "",
        "coaching_plan_name": f"{HOME}/coachingPlans/p",
    }
    return Wished(**(fields | said))  # type: ignore[arg-type]  # a test says what it means


def there(target: float = 80.0, **said: object) -> Target:
    fields = {
        "name": f"{HOME}/targets/one",
        "target": target,
        "scorecard_template_name": f"{HOME}/scorecardTemplates/t",
        "usecase_name": f"{HOME}/usecases/u",
        "coaching_plan_name": f"{HOME}/coachingPlans/p",
    }
    return Target.model_validate(fields | said)


@given(PERCENT, PERCENT)
def test_there_is_a_finding_exactly_where_the_values_differ_as_32_bits(want: float, have: float) -> None:
    assert bool(compare(wished(want), there(have), OBSERVE)) != same_float32(want, have)


@given(st.floats(), st.sampled_from(DriftMode))
def test_any_number_that_a_remote_may_answer_is_compared(have: float, mode: DriftMode) -> None:
    findings = compare(wished(50.0), there(have), Modes(mode, mode))
    assert all(finding.field == "target" for finding in findings)


@pytest.mark.parametrize(
    ("mode", "action"),
    [(DriftMode.ENFORCE, Action.RESENT), (DriftMode.OBSERVE, Action.OBSERVED), (DriftMode.ADOPT, Action.ADOPTED)],
)
def test_what_others_have_changed_is_seen_to_by_mode(mode: DriftMode, action: Action) -> None:
    (finding,) = compare(wished(80), there(50), Modes(mode, DriftMode.OBSERVE))
    assert (finding.kind, finding.action, finding.wanted, finding.found) == (Kind.CHANGED, action, "80", "50")


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        (THEN - timedelta(seconds=1), Kind.LOST),
        (THEN, Kind.CHANGED),
        (THEN + timedelta(days=1), Kind.CHANGED),
        (None, Kind.CHANGED),
    ],
    ids=["before ours", "at the same time", "after ours", "never said"],
)
def test_a_value_is_lost_only_where_the_remote_says_that_nobody_wrote_after_us(
    written: datetime | None, kind: Kind
) -> None:
    (finding,) = compare(wished(80, acknowledged=THEN), there(50, update_time=written), OBSERVE)
    assert finding.kind is kind
    assert finding.action is (Action.RESENT if kind is Kind.LOST else Action.OBSERVED)


def test_nothing_is_lost_whose_time_we_do_not_know() -> None:
    (finding,) = compare(wished(80), there(50, update_time=THEN), OBSERVE)
    assert finding.kind is Kind.CHANGED


def test_the_score_has_a_mode_of_its_own_and_counts_only_where_it_was_wished() -> None:
    modes = Modes(DriftMode.OBSERVE, DriftMode.ENFORCE)
    assert compare(wished(), there(qa_score=3), modes) == ()
    (finding,) = compare(wished(qa_score=5.0), there(qa_score=3), modes)
    assert (finding.field, finding.action) == ("qaScore", Action.RESENT)
    assert compare(wished(qa_score=0.0), there(), modes) == ()


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("scorecardTemplateName", {"scorecard_template_name": f"{HOME}/scorecardTemplates/other"}),
        ("usecaseName", {"usecase_name": f"{HOME}/usecases/other"}),
        ("criterionOrChapterId", {"criterion_or_chapter_id": "other"}),
        ("coachingPlanName", {"coaching_plan_name": ""}),
    ],
)
def test_a_target_that_is_for_something_else_is_observed_and_its_value_is_nobody_s_to_judge(
    field: str, said: dict[str, str]
) -> None:
    enforce = Modes(DriftMode.ENFORCE, DriftMode.ENFORCE)
    findings = compare(wished(80), there(50, **said), enforce)
    assert [(one.field, one.kind, one.action) for one in findings] == [(field, Kind.IDENTITY, Action.OBSERVED)]


def test_an_identity_that_the_wish_left_open_is_no_finding() -> None:
    left_open = wished(criterion_or_chapter_id=None, coaching_plan_name=None)
    assert compare(left_open, there(criterion_or_chapter_id="greeting", coaching_plan_name=""), OBSERVE) == ()


def test_one_field_that_is_sent_again_is_sent_with_all() -> None:
    findings = compare(wished(80, qa_score=5.0), there(50, qa_score=3), Modes(DriftMode.ADOPT, DriftMode.ENFORCE))
    assert {finding.action for finding in findings} == {Action.ADOPTED, Action.RESENT}
    assert action_of(findings) is Action.RESENT
    assert action_of(()) is None
