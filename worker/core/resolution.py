"""Pure: a target has been read because a write may or may not have happened; what now?

The remote has no validator (no etag), so a retry could overwrite a person's newer change. What was found is weighed
against the wish, what was there before our first try (``baseline``), what older wishes of ours may have left there, and
anything else.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.coaching import Target, TargetWrite
from schemas.jobs import TargetCreation, TargetUpdate
from schemas.numbers import same_float32
from worker.core.acceptance import KnownIdentity, identity_differences

CLOCK_SKEW = timedelta(seconds=5)  # the remote's clock may be behind ours by this and its updateTime still tells


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """The remote holds the wish: our earlier try arrived, or somebody asked for the same."""


@dataclass(frozen=True, slots=True)
class Send:
    """The wish is not there: send it, with the identity found."""

    write: TargetWrite


@dataclass(frozen=True, slots=True)
class OtherIdentity:
    """The target there is for something else than the wish says; sending would widen or move it."""

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangedElsewhere:
    """A value that is neither ours nor the one before: somebody changed it after us. Not ours to overwrite."""

    found: float


Resolution = AlreadyThere | Send | OtherIdentity | ChangedElsewhere


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of our earlier tries: when the first left, and the value before it. None: no try has left.

    ``ours`` are values that older wishes, left in doubt, may have put there meanwhile: no person's change.
    """

    first_sent_at: datetime | None
    baseline: float | None
    ours: tuple[float, ...] = ()


def resolve(wish: TargetUpdate, found: Target, earlier: Earlier, *, forced: bool) -> Resolution:
    """Decide from what a GET has just shown."""
    differing = identity_differences(wish, as_known(found))
    if differing:
        return OtherIdentity(differing)
    if _holds(found, wish) and (earlier.first_sent_at is not None or not forced):
        return AlreadyThere()
    if wish.expected is not None and not _holds(found, wish) and not same_float32(found.target, wish.expected):
        return ChangedElsewhere(found.target)
    if earlier.first_sent_at is not None and _changed_since(found, earlier.first_sent_at, earlier):
        return ChangedElsewhere(found.target)
    return Send(compose(wish, as_known(found)))


def compose(wish: TargetUpdate, known: KnownIdentity | None) -> TargetWrite:
    """The full identity to send: what the wish states, the rest as known. Raises ``ValueError`` if some is neither."""
    plan = wish.coaching_plan_name if wish.coaching_plan_name is not None or not known else known.coaching_plan_name
    criterion = wish.criterion_or_chapter_id
    criterion = criterion if criterion is not None or not known else known.criterion_or_chapter_id
    if plan is None or criterion is None:
        raise ValueError("the target's identity is not known in full")
    return TargetWrite(
        name=wish.name,
        scorecard_template_name=wish.scorecard_template_name,
        criterion_or_chapter_id=criterion,
        target=wish.target,
        usecase_name=wish.usecase_name,
        coaching_plan_name=plan,
        qa_score=wish.qa_score,
        create_time=wish.create_time,
        update_time=wish.update_time,
    )


def must_read(wish: TargetUpdate, known: KnownIdentity | None) -> bool:
    """Whether it takes a look first: the identity to send is not certain, or a certain value is expected there."""
    if wish.expected is not None:
        return True
    if known is None:
        return wish.coaching_plan_name is None or wish.criterion_or_chapter_id is None
    return bool(identity_differences(wish, known))


def compose_creation(wish: TargetCreation) -> TargetWrite:
    """The full identity, without a name: that is the remote's to give."""
    return TargetWrite(
        name="",
        scorecard_template_name=wish.scorecard_template_name,
        criterion_or_chapter_id=wish.criterion_or_chapter_id,
        target=wish.target,
        usecase_name=wish.usecase_name,
        coaching_plan_name=wish.coaching_plan_name,
    )


def is_the_wished(found: Target, wish: TargetCreation) -> bool:
    """Whether this target is for what the wish would create one for."""
    return (
        found.scorecard_template_name == wish.scorecard_template_name
        and found.usecase_name == wish.usecase_name
        and found.criterion_or_chapter_id == wish.criterion_or_chapter_id
        and found.coaching_plan_name == wish.coaching_plan_name
    )


def as_known(found: Target) -> KnownIdentity:
    return KnownIdentity(
        scorecard_template_name=found.scorecard_template_name,
        criterion_or_chapter_id=found.criterion_or_chapter_id,
        target=found.target,
        usecase_name=found.usecase_name,
        coaching_plan_name=found.coaching_plan_name,
        qa_score=found.qa_score,
        uncertain=False,
    )


def _holds(found: Target, wish: TargetUpdate) -> bool:
    same_score = wish.qa_score is None or same_float32(wish.qa_score, found.qa_score or 0.0)  # 0 may be left out
    return same_score and same_float32(found.target, wish.target)


def _changed_since(found: Target, first_sent_at: datetime, earlier: Earlier) -> bool:
    if any(same_float32(found.target, value) for value in earlier.ours):
        return False
    if earlier.baseline is not None:
        return not same_float32(found.target, earlier.baseline)
    return found.update_time is not None and found.update_time >= first_sent_at - CLOCK_SKEW
