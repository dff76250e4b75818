import pytest

from api_adapter.compare import differences
from schemas.coaching import Target, TargetWrite

PROFILE = "customers/acme/profiles/support"
ASKED = {
    "name": f"{PROFILE}/targets/t-1",
    "scorecard_template_name": f"{PROFILE}/scorecardTemplates/empathy",
    "criterion_or_chapter_id": "greeting",
    "target": 82.5,
    "usecase_name": f"{PROFILE}/usecases/voice",
    "coaching_plan_name": f"{PROFILE}/coachingPlans/plan-1",
}


def _found(asked: dict[str, object], answered: dict[str, object]) -> tuple[tuple[str, str, str], ...]:
    return differences(TargetWrite.model_validate(ASKED | asked), Target.model_validate(ASKED | answered))


def test_what_came_back_as_asked_has_no_difference() -> None:
    assert _found({}, {}) == ()


@pytest.mark.parametrize(
    ("field", "wire", "other"),
    [
        ("name", "name", f"{PROFILE}/targets/t-2"),
        ("scorecard_template_name", "scorecardTemplateName", f"{PROFILE}/scorecardTemplates/other"),
        ("criterion_or_chapter_id", "criterionOrChapterId", ""),
        ("usecase_name", "usecaseName", f"{PROFILE}/usecases/chat"),
        ("coaching_plan_name", "coachingPlanName", ""),
    ],
)
def test_another_identity_is_a_difference(field: str, wire: str, other: str) -> None:
    assert _found({}, {field: other}) == ((wire, ASKED[field], other),)


@pytest.mark.parametrize(
    ("asked", "answered"), [(0.1, 0.10000000149011612), (100 / 3, 33.333332), (0.0, None), (82.5, "82.5")]
)
def test_numbers_are_the_same_if_their_32_bits_are(asked: float, answered: object) -> None:
    assert _found({"target": asked}, {"target": answered}) == ()


@pytest.mark.parametrize(
    ("asked", "answered", "shown"),
    [
        (82.5, 82.50001, ("82.5", "82.50001")),
        (82.5, None, ("82.5", "0")),
        (0.0, 82.5, ("0", "82.5")),
        (82.5, "NaN", ("82.5", "nan")),
        (82.5, "Infinity", ("82.5", "inf")),
        (82.5, 1e300, ("82.5", "1e+300")),
    ],
)
def test_another_value_is_a_difference_and_is_shown(asked: float, answered: object, shown: tuple[str, str]) -> None:
    assert _found({"target": asked}, {"target": answered}) == (("target", *shown),)


def test_the_qa_score_counts_only_if_it_was_asked() -> None:
    assert _found({}, {"qa_score": 71.0}) == ()
    assert _found({"qa_score": 70.0}, {"qa_score": 70.0}) == ()
    assert _found({"qa_score": 70.0}, {"qa_score": 71.0}) == (("qaScore", "70", "71"),)
    assert _found({"qa_score": 70.0}, {}) == (("qaScore", "70", "0"),)
    assert _found({"qa_score": 0.0}, {}) == ()


def test_the_times_the_remote_sets_are_no_difference() -> None:
    assert _found({"update_time": "2026-01-01T00:00:00Z"}, {"update_time": "2026-03-01T00:00:00Z"}) == ()
