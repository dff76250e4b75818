"""What becomes of offered wishes at the door, decided from the standing of their resources alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.jobs import QuotaRecalculation, TargetUpdate, Wish
from worker.core.acceptance import (
    LATEST_AS_OF,
    Acceptance,
    Accepted,
    Earlier,
    Fate,
    KnownIdentity,
    Offer,
    Standing,
    describe_difference,
    identity_differences,
    is_unchanged,
    microseconds,
    plan_acceptance,
)

HOME = "customers/acme/profiles/main"
PLAN = f"{HOME}/coachingPlans/p"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KNOWN = KnownIdentity(f"{HOME}/scorecardTemplates/s", "c", 10.0, f"{HOME}/usecases/u", PLAN, None, uncertain=False)


def wish(value: float = 50, **said: Any) -> TargetUpdate:
    fields = {
        "name": f"{HOME}/targets/t",
        "scorecard_template_name": KNOWN.scorecard_template_name,
        "usecase_name": KNOWN.usecase_name,
        "criterion_or_chapter_id": "c",
        "coaching_plan_name": PLAN,
        "target": value,
    }
    return TargetUpdate.model_validate(fields | said)


NAME = wish().resource


def offers(*wishes: Wish) -> list[Offer]:
    texts = [one.model_dump_json(by_alias=True, exclude_none=True, exclude={"request_key"}) for one in wishes]
    return [Offer(100 + row, row + 1, one, text) for row, (one, text) in enumerate(zip(wishes, texts, strict=True))]


def decide(*wishes: Wish, standing: Standing | None = None, forced: bool = False) -> Acceptance:
    return plan_acceptance(offers(*wishes), {NAME: standing} if standing else {}, {}, NOW, forced=forced)


def fates(plan: Acceptance) -> list[Fate]:
    return [one.fate for one in plan.accepted]


def at(instant: datetime, pending_job_id: int | None = None) -> Standing:
    return Standing(microseconds(instant), newest_job_id=7, pending_job_id=pending_job_id)


def test_a_first_wish_is_queued_at_the_version_of_its_acceptance() -> None:
    plan = decide(wish())
    assert plan.accepted == [Accepted(offers(wish())[0], Fate.QUEUED, microseconds(NOW))]
    assert plan.standings[NAME] == Standing(microseconds(NOW), newest_job_id=100, pending_job_id=100)


def test_a_newer_wish_replaces_the_pending_job_of_before() -> None:
    assert decide(wish(), standing=at(NOW - SECOND, pending_job_id=7)).superseded == {7: 100}


def test_within_a_page_the_last_wish_is_queued_and_names_no_job_of_before() -> None:
    plan = decide(wish(1), wish(2), wish(3))
    assert [(one.fate, one.by) for one in plan.accepted] == [
        (Fate.SUPERSEDED, 101),
        (Fate.SUPERSEDED, 102),
        (Fate.QUEUED, None),
    ]
    assert plan.superseded == {}


@pytest.mark.parametrize(
    ("newest", "as_of", "fate"),
    [
        (NOW, NOW + SECOND, Fate.QUEUED),
        (NOW, NOW, Fate.QUEUED),
        (NOW, NOW - SECOND, Fate.SUPERSEDED),
        (NOW + 2 * SECOND, None, Fate.QUEUED),
    ],
)
def test_the_version_decides_and_a_tie_goes_to_the_later_arrival(
    newest: datetime, as_of: datetime | None, fate: Fate
) -> None:
    plan = decide(wish(as_of=as_of), standing=at(newest))
    assert fates(plan) == [fate]
    assert plan.standings[NAME].version >= microseconds(newest)
    assert plan.accepted[0].by == (7 if fate is Fate.SUPERSEDED else None)


def test_the_first_wish_of_all_is_never_too_old() -> None:
    assert fates(decide(wish(as_of=datetime(1, 1, 1, tzinfo=UTC)), standing=Standing())) == [Fate.QUEUED]


@pytest.mark.parametrize(
    ("ahead", "refused"), [(timedelta(0), False), (LATEST_AS_OF, False), (LATEST_AS_OF + SECOND, True)]
)
def test_an_as_of_ahead_of_our_clock_is_skew_up_to_a_point(ahead: timedelta, *, refused: bool) -> None:
    plan = decide(wish(as_of=NOW + ahead))
    assert [(one.field, one.value) for one in plan.refused] == ([("asOf", str(NOW + ahead))] if refused else [])


@pytest.mark.parametrize(
    ("standing", "forced", "fate"),
    [
        (Standing(known=KNOWN), False, Fate.UNCHANGED),
        (Standing(known=KNOWN), True, Fate.QUEUED),
        (Standing(known=KNOWN, running=True), False, Fate.QUEUED),
        (Standing(known=None), False, Fate.QUEUED),
    ],
)
def test_what_the_remote_has_already_is_unchanged(standing: Standing, fate: Fate, *, forced: bool) -> None:
    assert fates(decide(wish(10), standing=standing, forced=forced)) == [fate]


def test_an_unchanged_wish_replaces_the_pending_job_and_leaves_none() -> None:
    plan = decide(wish(10), standing=Standing(1, 7, pending_job_id=7, known=KNOWN))
    assert (fates(plan), plan.superseded) == ([Fate.UNCHANGED], {7: 100})
    assert plan.standings[NAME].pending_job_id is None


def test_back_and_forth_within_a_page_ends_unchanged_only_if_the_last_wish_is() -> None:
    standing = Standing(known=KNOWN)
    assert fates(decide(wish(10), wish(20), standing=standing)) == [Fate.UNCHANGED, Fate.QUEUED]
    assert fates(decide(wish(20), wish(10), standing=standing)) == [Fate.SUPERSEDED, Fate.UNCHANGED]


@pytest.mark.parametrize(
    ("asked", "known", "same"),
    [
        (wish(10), KNOWN, True),
        (wish(10, coaching_plan_name=None, criterion_or_chapter_id=None), KNOWN, True),
        (wish(11), KNOWN, False),
        (wish(10, qa_score=5), KNOWN, False),
        (wish(10, qa_score=5), replace(KNOWN, qa_score=5.0), True),
        (wish(10), replace(KNOWN, qa_score=5.0), True),
        (wish(10), replace(KNOWN, uncertain=True), False),
        (wish(10), replace(KNOWN, target=1e39), False),
        (wish(10, criterion_or_chapter_id="d"), KNOWN, False),
        (QuotaRecalculation(scorecard_template_name=f"{HOME}/scorecardTemplates/s@1"), KNOWN, False),
        (wish(10), None, False),
    ],
)
def test_unchanged_is_the_same_value_score_and_identity(
    asked: Wish, known: KnownIdentity | None, *, same: bool
) -> None:
    assert is_unchanged(asked, known) is same


@pytest.mark.parametrize(
    ("said", "differing"),
    [
        ({}, ()),
        ({"coaching_plan_name": None, "criterion_or_chapter_id": None}, ()),
        ({"coaching_plan_name": ""}, ("coachingPlanName",)),
        (
            {"criterion_or_chapter_id": "d", "usecase_name": f"{HOME}/usecases/v"},
            ("usecaseName", "criterionOrChapterId"),
        ),
        ({"scorecard_template_name": f"{HOME}/scorecardTemplates/r"}, ("scorecardTemplateName",)),
    ],
)
def test_identity_differs_in_what_is_stated_otherwise(said: dict[str, Any], differing: tuple[str, ...]) -> None:
    assert identity_differences(wish(**said), KNOWN) == differing


@pytest.mark.parametrize(
    ("said", "known", "field"),
    [
        ({"coaching_plan_name": ""}, KNOWN, "coachingPlanName"),
        ({"criterion_or_chapter_id": ""}, KNOWN, "criterionOrChapterId"),
        ({"coaching_plan_name": None}, KNOWN, None),
        ({"coaching_plan_name": ""}, replace(KNOWN, coaching_plan_name=""), None),
        ({"coaching_plan_name": ""}, replace(KNOWN, uncertain=True), None),
        ({"coaching_plan_name": ""}, None, None),
    ],
)
def test_widening_what_is_certainly_narrower_is_refused(
    said: dict[str, Any], known: KnownIdentity | None, field: str | None
) -> None:
    plan = decide(wish(**said), standing=Standing(known=known))
    assert [one.field for one in plan.refused] == ([field] if field else [])
    assert len(plan.accepted) + len(plan.refused) == 1


def test_a_repeated_key_leads_to_its_first_job_even_where_the_wish_would_be_refused_by_now() -> None:
    said = wish(20, request_key="k", coaching_plan_name="")
    (offer,) = offers(said)
    earlier = {"k": Earlier(5, offer.wish_text)}
    plan = plan_acceptance([offer], {NAME: Standing(known=KNOWN)}, earlier, NOW)
    assert plan.accepted == [Accepted(offer, Fate.REPEATED, version=0, by=5)]
    assert plan.standings == {NAME: Standing(known=KNOWN)}


def test_a_key_repeated_within_a_page_leads_to_the_first_and_in_conflict_is_refused() -> None:
    plan = decide(wish(20, request_key="k"), wish(20, request_key="k"), wish(30, request_key="k"))
    assert [(one.fate, one.by) for one in plan.accepted] == [(Fate.QUEUED, None), (Fate.REPEATED, 100)]
    assert [(one.field, one.value) for one in plan.refused] == [("requestKey", "k")]
    assert plan.refused[0].reason == "was accepted before with other content: target was 20.0, now 30.0"


def test_a_refused_wish_leaves_its_key_free() -> None:
    plan = decide(wish(20, request_key="k", as_of=NOW + 2 * LATEST_AS_OF), wish(20, request_key="k"))
    assert fates(plan) == [Fate.QUEUED]


@pytest.mark.parametrize(
    ("earlier", "offered", "told"),
    [
        ('{"a":1}', '{"a":1}', ""),
        ('{"a":1}', '{"a":2}', "a was 1, now 2"),
        ('{"a":1}', "{}", "a was 1, now absent"),
        ("{}", '{"a":"x","b":null}', "a was absent, now x"),
        ('{"a":"x"}', '{"a":""}', "a was x, now empty"),
        ('{"a":1,"b":2}', '{"a":2,"b":3}', "a was 1, now 2, b was 2, now 3"),
    ],
)
def test_a_difference_is_told_field_by_field(earlier: str, offered: str, told: str) -> None:
    assert describe_difference(earlier, offered) == told
