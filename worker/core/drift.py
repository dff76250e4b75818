"""Pure: what the remote has, against what was last wished for it; and what is to be done about the difference."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.coaching import Target
from schemas.numbers import format_float32, same_float32
from schemas.policy import DriftMode


class Kind(StrEnum):
    """What was set is gone; somebody set something else; the target is gone; it is for something else."""

    LOST = "lost"
    CHANGED = "changed"
    MISSING = "missing"
    IDENTITY = "identity"


class Action(StrEnum):
    RESENT = "resent"
    OBSERVED = "observed"
    ADOPTED = "adopted"


_BY_MODE = {
    DriftMode.ENFORCE: Action.RESENT,
    DriftMode.OBSERVE: Action.OBSERVED,
    DriftMode.ADOPT: Action.ADOPTED,
}


@dataclass(frozen=True, slots=True)
class Modes:
    """What is done about a change by others, for each field that a wish states."""

    target: DriftMode
    qa_score: DriftMode


@dataclass(frozen=True, slots=True)
class Wished:
    """The newest wish for one target. Identity fields that it left open are None.

    ``acknowledged``: the remote's own time of the write that we know of, where it named one.
    """

    target: float
    qa_score: float | None
    scorecard_template_name: str
    usecase_name: str
    criterion_or_chapter_id: str | None
    coaching_plan_name: str | None
    acknowledged: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One field that differs, in the wire's names and words."""

    field: str
    kind: Kind
    wanted: str
    found: str
    action: Action


def compare(wished: Wished, found: Target, modes: Modes) -> tuple[Finding, ...]:
    """Every difference. Where the target is for something else than was wished, its values are nobody's to judge."""
    identity = tuple(_identity(wished, found))
    return identity or tuple(_values(wished, found, modes))


def action_of(findings: tuple[Finding, ...]) -> Action | None:
    """What is done about the target as a whole: a write that asserts one of its fields asserts all."""
    actions = {finding.action for finding in findings}
    return next((action for action in (Action.RESENT, Action.ADOPTED, Action.OBSERVED) if action in actions), None)


def _identity(wished: Wished, found: Target) -> Iterator[Finding]:
    fields = (
        ("scorecardTemplateName", wished.scorecard_template_name, found.scorecard_template_name),
        ("usecaseName", wished.usecase_name, found.usecase_name),
        ("criterionOrChapterId", wished.criterion_or_chapter_id, found.criterion_or_chapter_id),
        ("coachingPlanName", wished.coaching_plan_name, found.coaching_plan_name),
    )
    for name, want, have in fields:
        if want is not None and want != have:
            yield Finding(name, Kind.IDENTITY, want, have, Action.OBSERVED)


def _values(wished: Wished, found: Target, modes: Modes) -> Iterator[Finding]:
    fields = [("target", wished.target, found.target, modes.target)]
    if wished.qa_score is not None:
        fields.append(("qaScore", wished.qa_score, found.qa_score or 0.0, modes.qa_score))
    for name, want, have, mode in fields:
        if not same_float32(want, have):
            lost = _is_lost(wished, found)
            action = Action.RESENT if lost else _BY_MODE[mode]
            yield Finding(name, Kind.LOST if lost else Kind.CHANGED, _shown(want), _shown(have), action)


def _is_lost(wished: Wished, found: Target) -> bool:
    """By the remote's own account nobody wrote after us: what we had set did not stay."""
    if wished.acknowledged is None or found.update_time is None:
        return False
    return found.update_time < wished.acknowledged


def _shown(value: float) -> str:
    try:
        return format_float32(value)
    except OverflowError:  # a remote may answer what is no float32 at all
        return repr(value)
