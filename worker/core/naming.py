"""Pure: what a want becomes: an update of the target that is there, the creation of one that is not, or nothing yet."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.jobs import TargetCreation, TargetUpdate
from worker.core.policy import WantedTarget


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a wanted target.

    ``name``: what the remote calls it. ``listed``: when the last complete listing of its profile began, ``lists``:
    whether the remote lists at all. ``last_asked``: the order of what the policy has asked of it before.
    """

    name: str | None
    listed: datetime | None
    lists: bool = True
    last_asked: datetime | None = None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a want is no wish yet, in words. ``until_listed``: a listing that begins now takes it away."""

    words: str
    until_listed: bool = False


NOT_LISTED = "the remote does not list its targets, so nobody knows whether it is there; update it once by its name"
UNLISTED = Obstacle(
    "nobody knows yet whether the remote has such a target; the reconciliation lists the remote's targets next,"
    " and then it goes on by itself",
    until_listed=True,
)


def wish_or_obstacle(want: WantedTarget, wanted_at: datetime, known: Known) -> TargetUpdate | TargetCreation | Obstacle:
    """A target is made only where a listing that began after it was wanted has not shown it."""
    if known.name:
        return TargetUpdate(name=known.name, **_said(want, known))
    if not known.lists:
        return Obstacle(NOT_LISTED)
    if known.listed is None or known.listed < wanted_at:
        return UNLISTED
    if not want.creates:
        return Obstacle(f"the remote has no such target, and the rule {want.rule!r} creates none (create = true)")
    return TargetCreation(**_said(want, known))


def _said(want: WantedTarget, known: Known) -> dict[str, Any]:
    """What was learned late does not stand behind what the policy has asked before: it has been weighed with it."""
    return {
        "scorecard_template_name": want.scorecard_template_name,
        "usecase_name": want.usecase_name,
        "criterion_or_chapter_id": want.criterion_or_chapter_id,
        "coaching_plan_name": want.coaching_plan_name,
        "target": want.target,
        "as_of": max(want.as_of, known.last_asked or want.as_of),
    }
