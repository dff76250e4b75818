"""Pure: what becomes of offered wishes at the door.

A wish is *queued*, *superseded* at once (older than the newest accepted one), *unchanged* (the remote already has it),
*repeated* (its request key was accepted before), *refused*, or *stale* (refused too: what a plan saw is no longer so).
Accepting a newer wish supersedes the pending older one.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from schemas.jobs import TargetUpdate, Wish
from schemas.numbers import same_float32

LATEST_AS_OF = timedelta(minutes=5)  # how far ahead of our clock an ``asOf`` may be: more is a mistake, not skew
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_WIDER = "leave it out, or state the same"
STALE = "stale: "  # what the reason of a stale row begins with, where it is kept


class Fate(StrEnum):
    QUEUED = "queued"
    SUPERSEDED = "superseded"
    UNCHANGED = "unchanged"
    REPEATED = "repeated"
    REFUSED = "refused"
    STALE = "stale"

    @property
    def accepted(self) -> bool:
        return self not in (Fate.REFUSED, Fate.STALE)


@dataclass(frozen=True, slots=True)
class KnownIdentity:
    """The target as the remote last showed it."""

    scorecard_template_name: str
    criterion_or_chapter_id: str
    target: float
    usecase_name: str
    coaching_plan_name: str
    qa_score: float | None
    uncertain: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What a plan saw of a target: the remote's last word, and the value wished last; None where there was none."""

    known: KnownIdentity | None = None
    accepted: float | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """One wish at the door. ``wish_text`` is its canonical JSON, ``id`` the job it becomes.

    ``seen``, of a plan's wish: it is only taken while that is still so. ``traceparent``: the span it came in.
    """

    id: int
    line: int
    wish: Wish
    wish_text: str
    seen: Seen | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """The job that a request key was first accepted as."""

    id: int
    wish_text: str


@dataclass(frozen=True, slots=True)
class Quiet:
    """A storm of wishes for one resource becomes one job: when it has rested, at most ``longest`` after it began."""

    rest: timedelta
    longest: timedelta

    def due_at(self, now: datetime, since: datetime) -> datetime:
        return min(now + self.rest, since + self.longest)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one resource stands before an offer: newest version, the pending job, whether one is running.

    ``not_before``: a write of the pending job may still be at work at the remote until then, and must not come in last.
    ``newest_job_id`` 0: no wish was accepted yet, and any version is newer (one before 1970 is negative).
    ``accepted`` is the newest accepted wish's value; it is only looked up for what a plan has seen.
    """

    version: int = 0
    newest_job_id: int = 0
    pending_job_id: int | None = None
    running: bool = False
    known: KnownIdentity | None = None
    not_before: datetime | None = None
    debounced_since: datetime | None = None
    accepted: float | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    offer: Offer
    fate: Fate
    version: int
    by: int | None = None
    not_before: datetime | None = None
    debounced_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    offer: Offer
    field: str
    reason: str
    value: str
    fate: Fate = Fate.REFUSED


@dataclass(slots=True)
class Acceptance:
    """The plan of one page. ``superseded`` maps jobs accepted earlier to the newer one that replaces each."""

    accepted: list[Accepted] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    superseded: dict[int, int] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)


def plan_acceptance(  # noqa: PLR0913 - what is known at the door, and how it is taken
    offers: Iterable[Offer],
    standings: Mapping[str, Standing],
    earlier: Mapping[str, Earlier],
    now: datetime,
    *,
    forced: bool = False,
    quiet: Quiet | None = None,
) -> Acceptance:
    """Decide offers in their order; a later one of the same page meets the standing that an earlier one left."""
    plan = Acceptance(standings=dict(standings))
    keys = dict(earlier)
    for offer in offers:
        key = offer.wish.request_key
        first = keys.get(key) if key else None
        if first and first.wish_text == offer.wish_text:
            plan.accepted.append(Accepted(offer, Fate.REPEATED, version=0, by=first.id))
        elif refusal := _refuse(offer, plan.standings.get(offer.wish.resource, Standing()), first, now):
            plan.refused.append(refusal)
        else:
            _accept(plan, offer, now, forced=forced, quiet=quiet)
            if key:
                keys[key] = Earlier(offer.id, offer.wish_text)
    _settle_superseded_within(plan)
    return plan


def describe_difference(earlier: str, offered: str) -> str:
    """The fields in which two wishes (canonical JSON) differ, in words."""
    before, after = _fields(earlier), _fields(offered)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(f"{name} was {_shown(before.get(name))}, now {_shown(after.get(name))}" for name in names)


def microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def _accept(plan: Acceptance, offer: Offer, now: datetime, *, forced: bool, quiet: Quiet | None) -> None:
    name, as_of = offer.wish.resource, offer.wish.as_of
    standing = plan.standings.get(name, Standing())
    version = microseconds(as_of) if as_of else max(microseconds(now), standing.version + 1)
    if standing.newest_job_id and version < standing.version:
        plan.accepted.append(Accepted(offer, Fate.SUPERSEDED, version, by=standing.newest_job_id))
        return
    if standing.pending_job_id is not None:
        plan.superseded[standing.pending_job_id] = offer.id
    unchanged = not forced and not standing.running and is_unchanged(offer.wish, standing.known)
    fate = Fate.UNCHANGED if unchanged else Fate.QUEUED
    since = _resting_since(standing, now) if quiet else None
    rested = quiet.due_at(now, since) if quiet and since else None
    due = max(filter(None, [standing.not_before, rested]), default=None)
    plan.accepted.append(Accepted(offer, fate, version, not_before=due, debounced_since=since))
    plan.standings[name] = Standing(  # all of it: ``replace`` takes a third of the time of this function
        version=version,
        newest_job_id=offer.id,
        pending_job_id=None if unchanged else offer.id,
        running=standing.running,
        known=standing.known,
        not_before=standing.not_before,
        debounced_since=since,
        accepted=standing.accepted,
    )


def _resting_since(standing: Standing, now: datetime) -> datetime | None:
    """When the storm began. What goes at once, since somebody asked for it without rest, is not held up by one."""
    return now if standing.pending_job_id is None else standing.debounced_since


def _settle_superseded_within(plan: Acceptance) -> None:
    for index, accepted in enumerate(plan.accepted):
        newer = plan.superseded.pop(accepted.offer.id, None)
        if newer is not None:
            plan.accepted[index] = replace(accepted, fate=Fate.SUPERSEDED, by=newer)


def is_unchanged(wish: Wish, known: KnownIdentity | None) -> bool:
    """Whether the remote is known to hold exactly this already."""
    return isinstance(wish, TargetUpdate) and known is not None and not known.uncertain and is_as_wished(wish, known)


def is_as_wished(wish: TargetUpdate, known: KnownIdentity) -> bool:
    """Whether the remote's last word is the wish, certain or not."""
    same_score = wish.qa_score is None or same_float32(wish.qa_score, known.qa_score or 0.0)  # 0 may be left out
    return same_score and same_float32(wish.target, known.target) and not identity_differences(wish, known)


def identity_differences(wish: TargetUpdate, known: KnownIdentity) -> tuple[str, ...]:
    """The identity fields (camelCase) in which a stated wish departs from what is known."""
    pairs = {
        "scorecardTemplateName": (wish.scorecard_template_name, known.scorecard_template_name),
        "usecaseName": (wish.usecase_name, known.usecase_name),
        "criterionOrChapterId": (wish.criterion_or_chapter_id, known.criterion_or_chapter_id),
        "coachingPlanName": (wish.coaching_plan_name, known.coaching_plan_name),
    }
    return tuple(name for name, (asked, there) in pairs.items() if asked is not None and asked != there)


def _refuse(offer: Offer, standing: Standing, first: Earlier | None, now: datetime) -> Refusal | None:
    wish = offer.wish
    if wish.as_of and wish.as_of > now + LATEST_AS_OF:
        return Refusal(offer, "asOf", "lies in the future: it would shut out every wish until then", str(wish.as_of))
    if first:
        reason = f"was accepted before with other content: {describe_difference(first.wish_text, offer.wish_text)}"
        return Refusal(offer, "requestKey", reason, wish.request_key or "")
    if offer.seen and (reason := stale_words(offer.seen, standing)):
        return Refusal(offer, "target", STALE + reason, "", Fate.STALE)
    if isinstance(wish, TargetUpdate) and standing.known and not standing.known.uncertain:
        return _refuse_widening(offer, wish, standing.known)
    return None


def stale_words(seen: Seen, standing: Standing) -> str:
    """What is no longer as a plan saw it; empty where all is."""
    then, now = seen.known, standing.known
    if now is not None and now.uncertain and not (then and then.uncertain):
        return "an attempt since the plan was made may have changed the target"
    if not _is_same(then, now):
        return f"the plan saw the target {_value_words(then)}; it is now known {_value_words(now)}"
    if standing.accepted is not None and not _is_same_value(seen.accepted, standing.accepted):
        return f"since the plan was made {standing.accepted:.9g} has been asked for"
    return ""


def _is_same(then: KnownIdentity | None, now: KnownIdentity | None) -> bool:
    if then is None or now is None:
        return then is now
    same_score = _is_same_value(then.qa_score or 0.0, now.qa_score or 0.0)
    as_then = replace(now, target=then.target, qa_score=then.qa_score, uncertain=then.uncertain)
    return same_score and _is_same_value(then.target, now.target) and then == as_then


def _is_same_value(then: float | None, now: float) -> bool:
    return then is not None and same_float32(then, now)


def _value_words(known: KnownIdentity | None) -> str:
    return f"with {known.target:.9g}, for {_purpose(known)}" if known else "not at all"


def _purpose(known: KnownIdentity) -> str:
    plan = known.coaching_plan_name.rsplit("/", 1)[-1] or "the whole organisation"
    return f"{known.criterion_or_chapter_id or 'the whole template'} and {plan}"


def _refuse_widening(offer: Offer, wish: TargetUpdate, known: KnownIdentity) -> Refusal | None:
    if wish.coaching_plan_name == "" and known.coaching_plan_name:
        reason = (
            f"is empty (the whole organisation), yet this target belongs to {known.coaching_plan_name}; {_NOT_WIDER}"
        )
        return Refusal(offer, "coachingPlanName", reason, "")
    if wish.criterion_or_chapter_id == "" and known.criterion_or_chapter_id:
        reason = f"is empty (the whole template), yet this target is for {known.criterion_or_chapter_id}; {_NOT_WIDER}"
        return Refusal(offer, "criterionOrChapterId", reason, "")
    return None


def _fields(text: str) -> dict[str, object]:
    loaded: dict[str, object] = json.loads(text)
    return loaded


def _shown(value: object) -> str:
    return "absent" if value is None else str(value) or "empty"
