"""Did the remote do what was asked? The answered target against the wish. Pure."""

from schemas.coaching import Target, TargetWrite
from schemas.numbers import format_float32, same_float32

Difference = tuple[str, str, str]


def differences(asked: TargetWrite, answered: Target) -> tuple[Difference, ...]:
    """Each field that came back otherwise, in the wire's names: what was asked, what the remote says it is now.

    Numbers are compared as the 32-bit floats they travel as; an absent field counts as its default. Times are not
    compared: the remote sets them.
    """
    texts = (
        ("name", asked.name, answered.name),
        ("scorecardTemplateName", asked.scorecard_template_name, answered.scorecard_template_name),
        ("criterionOrChapterId", asked.criterion_or_chapter_id, answered.criterion_or_chapter_id),
        ("usecaseName", asked.usecase_name, answered.usecase_name),
        ("coachingPlanName", asked.coaching_plan_name, answered.coaching_plan_name),
    )
    numbers = [("target", asked.target, answered.target)]
    if asked.qa_score is not None:
        numbers.append(("qaScore", asked.qa_score, answered.qa_score or 0.0))
    return tuple(
        [difference for difference in texts if difference[1] != difference[2]]
        + [(field, _shown(want), _shown(got)) for field, want, got in numbers if not _same(want, got)]
    )


def _same(want: float, got: float) -> bool:
    try:
        return same_float32(want, got)
    except OverflowError:  # the remote's number is no float32 at all
        return False


def _shown(value: float) -> str:
    try:
        return format_float32(value)
    except OverflowError:
        return repr(value)
