"""A target was read because a write may have happened: what now? And what is sent, with which identity."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.coaching import Target
from schemas.jobs import TargetUpdate
from worker.core.acceptance import KnownIdentity
from worker.core.resolution import (
    CLOCK_SKEW,
    AlreadyThere,
    ChangedElsewhere,
    Earlier,
    OtherIdentity,
    Resolution,
    Send,
    as_known,
    compose,
    must_read,
    resolve,
)

HOME = "customers/acme/profiles/main"
PLAN = f"{HOME}/coachingPlans/p"
SENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
UNSENT = Earlier(None, None)


def wish(value: float = 50, **said: Any) -> TargetUpdate:
    fields = {
        "name": f"{HOME}/targets/t",
        "scorecard_template_name": f"{HOME}/scorecardTemplates/s",
        "usecase_name": f"{HOME}/usecases/u",
        "criterion_or_chapter_id": "c",
        "coaching_plan_name": PLAN,
        "target": value,
    }
    return TargetUpdate.model_validate(fields | said)


def found(value: float, **there: Any) -> Target:
    return Target.model_validate(wish(0).model_dump() | {"target": value, "update_time": None} | there)


KNOWN = as_known(found(10))
SEND = Send(compose(wish(), KNOWN))


@pytest.mark.parametrize(
    ("there", "earlier", "resolution"),
    [
        pytest.param(50, UNSENT, AlreadyThere(), id="nothing sent yet, the wish is there"),
        pytest.param(70, UNSENT, SEND, id="nothing sent yet, anything there is overwritten"),
        pytest.param(50, Earlier(SENT, 10), AlreadyThere(), id="our try arrived"),
        pytest.param(10, Earlier(SENT, 10), SEND, id="our try did not arrive"),
        pytest.param(70, Earlier(SENT, 10), ChangedElsewhere(70), id="somebody changed it after our try"),
        pytest.param(70, Earlier(SENT, 10, ours=(60, 70)), SEND, id="an older wish of ours arrived"),
        pytest.param(80, Earlier(SENT, 10, ours=(60, 70)), ChangedElsewhere(80), id="neither ours nor the old one"),
        pytest.param(70, Earlier(SENT, None, ours=(70,)), SEND, id="an older wish of ours on a target never seen"),
    ],
)
def test_what_was_found_is_weighed_against_the_wish_what_was_there_and_what_may_be_ours(
    there: float, earlier: Earlier, resolution: Resolution
) -> None:
    assert resolve(wish(), found(there), earlier, forced=False) == resolution


@pytest.mark.parametrize(
    ("update_time", "resolution"),
    [
        (None, SEND),
        (SENT - CLOCK_SKEW - timedelta(seconds=1), SEND),
        (SENT - CLOCK_SKEW, ChangedElsewhere(70)),
        (SENT + timedelta(hours=1), ChangedElsewhere(70)),
    ],
)
def test_of_a_target_never_seen_before_its_update_time_tells(
    update_time: datetime | None, resolution: Resolution
) -> None:
    assert resolve(wish(), found(70, update_time=update_time), Earlier(SENT, None), forced=False) == resolution


def test_values_are_compared_as_the_32_bit_floats_that_travel() -> None:
    asked = wish(33.333333333)
    assert resolve(asked, found(33.333332), Earlier(SENT, 10), forced=False) == AlreadyThere()
    assert resolve(wish(), found(0.1), Earlier(SENT, 0.10000000149), forced=False) == SEND


@pytest.mark.parametrize("number", [1e39, float("nan"), float("inf")])
def test_a_number_that_is_none_is_nobodys_wish(number: float) -> None:
    assert isinstance(resolve(wish(), found(number), Earlier(SENT, 10), forced=False), ChangedElsewhere)


@pytest.mark.parametrize(
    ("asked", "there", "resolution"),
    [
        (wish(qa_score=5), {"qa_score": 5}, AlreadyThere()),
        (wish(qa_score=5), {"qa_score": None}, Send(compose(wish(qa_score=5), KNOWN))),
        (wish(), {"qa_score": 5}, AlreadyThere()),
    ],
)
def test_a_stated_score_must_be_there_too(asked: TargetUpdate, there: dict[str, Any], resolution: Resolution) -> None:
    assert resolve(asked, found(50, **there), Earlier(SENT, 50), forced=False) == resolution


def test_a_forced_wish_is_sent_once_even_where_it_is_there() -> None:
    assert resolve(wish(), found(50), UNSENT, forced=True) == SEND
    assert resolve(wish(), found(50), Earlier(SENT, 10), forced=True) == AlreadyThere()


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ({"coaching_plan_name": ""}, ("coachingPlanName",)),
        ({"criterion_or_chapter_id": "d"}, ("criterionOrChapterId",)),
        ({"usecase_name": f"{HOME}/usecases/v"}, ("usecaseName",)),
    ],
)
def test_a_wish_for_another_identity_than_the_one_there_is_not_sent(
    said: dict[str, Any], fields: tuple[str, ...]
) -> None:
    for there in (50, 10):
        assert resolve(wish(**said), found(there), Earlier(SENT, 10), forced=True) == OtherIdentity(fields)


def test_what_the_wish_leaves_open_is_filled_from_what_is_known() -> None:
    write = compose(wish(coaching_plan_name=None, criterion_or_chapter_id=None, qa_score=7), KNOWN)
    assert (write.coaching_plan_name, write.criterion_or_chapter_id) == (PLAN, "c")
    assert (write.target, write.qa_score, write.name) == (50, 7, wish().name)


def test_an_empty_plan_and_criterion_are_statements_not_gaps() -> None:
    write = compose(wish(coaching_plan_name="", criterion_or_chapter_id=""), None)
    assert (write.coaching_plan_name, write.criterion_or_chapter_id) == ("", "")


@pytest.mark.parametrize("gap", [{"coaching_plan_name": None}, {"criterion_or_chapter_id": None}])
def test_an_identity_with_a_gap_is_never_composed(gap: dict[str, Any]) -> None:
    assert must_read(wish(**gap), None)
    with pytest.raises(ValueError, match="not known in full"):
        compose(wish(**gap), None)


@pytest.mark.parametrize(
    ("said", "known", "read"),
    [
        ({}, None, False),
        ({}, KNOWN, False),
        ({"coaching_plan_name": None}, KNOWN, False),
        ({"coaching_plan_name": ""}, KNOWN, True),
        ({"criterion_or_chapter_id": "d"}, replace(KNOWN, uncertain=True), True),
    ],
)
def test_a_target_is_read_first_where_its_identity_is_open_or_known_to_be_another(
    said: dict[str, Any], known: KnownIdentity | None, *, read: bool
) -> None:
    assert must_read(wish(**said), known) is read
