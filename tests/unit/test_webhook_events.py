"""What there is to tell of a job's end and of all else that happens; under which key; and that it is never too much."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.coaching import EvaluationPeriod, Quota, Target
from schemas.ids import MAX_ROWS, job_id
from schemas.jobs import JobKind, QuotaRecalculation, TargetCreation, TargetUpdate, Wish
from schemas.names import MAX_NAME_LENGTH
from schemas.numbers import INT32_MAX
from schemas.webhooks import LONGEST_BODY, BatchCompleted, EventType, compose
from worker.core import events
from worker.core.decisions import Fail, Succeed
from worker.core.drift import Action, Finding, Kind
from worker.core.events import Ended, Event, of_job

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
P = "customers/acme/profiles/support"
NAME, TEMPLATE, VOICE = f"{P}/targets/t1", f"{P}/scorecardTemplates/c", f"{P}/usecases/voice"
JOB = job_id(17, 203)
UPDATE = TargetUpdate(name=NAME, scorecard_template_name=TEMPLATE, usecase_name=VOICE, target=82.5)
CREATION = TargetCreation(
    scorecard_template_name=TEMPLATE, usecase_name=VOICE, target=82.5, criterion_or_chapter_id="greeting"
)
QUESTION = QuotaRecalculation(scorecard_template_name=f"{TEMPLATE}@3", usecase_name=VOICE)
TARGET = Target(
    name=NAME,
    scorecard_template_name=TEMPLATE,
    usecase_name=VOICE,
    criterion_or_chapter_id="greeting",
    coaching_plan_name=f"{P}/coachingPlans/b",
    target=82.5,
    qa_score=79.0,
)
QUOTA = Quota(total_agent_quota=412, total_active_agents_count=103)
FAILED = Fail("INVALID_ARGUMENT", "no such criterion", TARGET)


def ended(wish: Wish, decision: Succeed | Fail, name: str = "", round_: int = 0) -> Ended:
    return Ended(JOB, 17, round_, wish.kind, wish.resource, wish.model_dump_json(exclude_none=True), decision, name)


def told(event: Event) -> dict[str, Any]:
    return event.data.model_dump(exclude_none=True)


IDENTITY = {"scorecard_template_name": TEMPLATE, "usecase_name": VOICE}
ABOUT = {"job_id": "17-203", "batch_id": 17}


@pytest.mark.parametrize(
    ("wish", "result"), [(UPDATE, "applied"), (UPDATE, "already_there"), (CREATION, "created")], ids=str
)
def test_a_target_that_the_remote_has_shown_is_told_as_it_is_there(wish: Wish, result: str) -> None:
    (event,) = of_job(ended(wish, Succeed(result, TARGET)))
    assert event.type is EventType.TARGET_UPDATED
    assert told(event) == {
        "name": NAME,
        **IDENTITY,
        "criterion_or_chapter_id": "greeting",
        "coaching_plan_name": f"{P}/coachingPlans/b",
        "target": 82.5,
        "qa_score": 79.0,
        "result": result,
        **ABOUT,
    }


def test_of_a_target_that_was_not_asked_for_the_wish_is_told_and_what_it_left_open_is_left_out() -> None:
    (event,) = of_job(ended(UPDATE, Succeed("known", None), NAME))
    assert told(event) == {"name": NAME, **IDENTITY, "target": 82.5, "result": "known", **ABOUT}
    (event,) = of_job(ended(CREATION, Succeed("known", None), NAME))
    whole = {"criterion_or_chapter_id": "greeting", "coaching_plan_name": ""}
    assert told(event) == {"name": NAME, **IDENTITY, **whole, "target": 82.5, "result": "known", **ABOUT}


@pytest.mark.parametrize(("wish", "name"), [(UPDATE, NAME), (CREATION, "")], ids=["update", "creation"])
def test_a_failure_tells_the_wish_and_the_reason(wish: TargetUpdate | TargetCreation, name: str) -> None:
    (event,) = of_job(ended(wish, FAILED))
    assert event.type is EventType.TARGET_FAILED
    left_open = {} if wish is UPDATE else {"criterion_or_chapter_id": "greeting", "coaching_plan_name": ""}
    assert told(event) == {
        "name": name,
        **IDENTITY,
        **left_open,
        "target": 82.5,
        "code": "INVALID_ARGUMENT",
        "message": "no such criterion",
        **ABOUT,
    }


def test_a_quota_is_told_and_a_change_beside_it_only_where_it_is_one() -> None:
    job = ended(QUESTION, Succeed("recalculated", QUOTA))
    answer = {
        "scorecard_template_name": f"{TEMPLATE}@3",
        "usecase_name": VOICE,
        "total_agent_quota": 412,
        "total_active_agents_count": 103,
        **ABOUT,
    }
    for previous in (None, 412):
        (only,) = of_job(job, previous_quota=previous)
        assert (only.type, told(only)) == (EventType.QUOTA_RECALCULATED, answer)
    for previous in (408, 0):
        both = list(of_job(job, previous_quota=previous))
        assert [event.type for event in both] == [EventType.QUOTA_RECALCULATED, EventType.QUOTA_CHANGED]
        assert told(both[1]) == {**answer, "previous_total_agent_quota": previous}


def test_a_quota_is_told_with_the_period_that_was_asked_for_in_the_end() -> None:
    period = EvaluationPeriod(start_time=NOW, end_time=NOW + timedelta(days=28))
    asked = QUESTION.model_copy(update={"evaluation_period": period})
    (event,) = of_job(ended(QUESTION, Succeed("recalculated", QUOTA)), asked)
    assert (told(event)["period_start"], told(event)["period_end"]) == (NOW, NOW + timedelta(days=28))


def test_a_quota_that_could_not_be_asked_for_tells_why() -> None:
    (event,) = of_job(ended(QUESTION, Fail("not_found", "404")))
    assert event.type is EventType.QUOTA_FAILED
    assert told(event) == {
        "scorecard_template_name": f"{TEMPLATE}@3",
        "usecase_name": VOICE,
        "code": "not_found",
        "message": "404",
        **ABOUT,
    }


@pytest.mark.parametrize("decision", [Succeed("applied", TARGET), Succeed("known", None)])
def test_an_end_that_does_not_fit_the_wish_is_a_bug_and_not_told(decision: Succeed) -> None:
    with pytest.raises(TypeError, match="is no end of"):
        list(of_job(ended(QUESTION, decision)))


@pytest.mark.parametrize("wish", [UPDATE, CREATION, QUESTION], ids=lambda wish: wish.kind)
@pytest.mark.parametrize("good", [True, False])
def test_the_facts_that_endpoints_filter_and_order_by_are_the_jobs(wish: Wish, *, good: bool) -> None:
    known = QUOTA if wish.kind is JobKind.QUOTA_RECALCULATION else TARGET
    for event in of_job(ended(wish, Succeed("done", known) if good else FAILED), previous_quota=1):
        assert (event.customer, event.usecase, event.batch_id, event.job_id) == ("acme", VOICE, 17, JOB)
        assert event.resource == wish.resource


def test_a_jobs_end_has_one_key_however_often_it_is_told_and_another_in_each_round() -> None:
    keys = [
        {event.key for event in of_job(ended(wish, decision, round_=round_), previous_quota=1)}
        for wish, decision in ((UPDATE, Succeed("applied", TARGET)), (QUESTION, Succeed("recalculated", QUOTA)))
        for round_ in (0, 0, 1)
    ]
    assert keys == [{"17-203.0"}, {"17-203.0"}, {"17-203.1"}] * 2
    (failed,) = of_job(ended(UPDATE, FAILED))
    assert failed.key == "17-203.0"


def batch(**changes: Any) -> BatchCompleted:
    counts = dict.fromkeys(("rows", "accepted", "rejected", "succeeded", "unchanged", "failed", "superseded"), 0)
    values = {"batch_id": 17, "source": "python", **counts, "cancelled": 0, "created_at": NOW, "completed_at": NOW}
    return BatchCompleted(**values | changes)


FINDING = Finding("target", Kind.CHANGED, "82.5", "75", Action.OBSERVED)
SINCE = NOW - timedelta(hours=1)
OTHERS = [
    (events.of_drift(5, NAME, FINDING), EventType.TARGET_DRIFTED, "5", NAME),
    (events.of_guard(3, "roster", "roster.csv", "too many", NOW), EventType.ROSTER_GUARD_TRIPPED, "3", None),
    (events.of_batch(batch()), EventType.BATCH_COMPLETED, "17", "batches/17"),
    (events.of_batch(batch(abandoned=True)), EventType.BATCH_COMPLETED, "17.abandoned", "batches/17"),
    (
        events.of_quarantine("acme", "401", SINCE),
        EventType.REMOTE_QUARANTINED,
        "acme 2026-01-31T07:00:00+00:00",
        "remotes/acme",
    ),
    (
        events.of_recovery("acme", SINCE, NOW),
        EventType.REMOTE_RECOVERED,
        "acme 2026-01-31T07:00:00+00:00",
        "remotes/acme",
    ),
    (
        events.of_disabled_endpoint("ep_1", "https://example.com", "410", None, NOW),
        EventType.ENDPOINT_DISABLED,
        "ep_1 2026-01-31T08:00:00+00:00",
        "ep_1",
    ),
    (
        events.of_recovered_endpoint("ep_1", "https://example.com", SINCE),
        EventType.ENDPOINT_RECOVERED,
        "ep_1 2026-01-31T07:00:00+00:00",
        "ep_1",
    ),
]


@pytest.mark.parametrize(("event", "kind", "key", "resource"), OTHERS, ids=[str(other[1]) for other in OTHERS])
def test_what_else_happens_has_its_type_its_key_and_its_order(
    event: Event, kind: EventType, key: str, resource: str | None
) -> None:
    assert (event.type, event.key, event.resource) == (kind, key, resource)


def test_a_recovery_is_told_once_whenever_it_is_told() -> None:
    later = events.of_recovery("acme", SINCE, NOW + timedelta(days=1))
    assert later.key == events.of_recovery("acme", SINCE, NOW).key


def test_a_drift_is_its_targets_customers() -> None:
    event = events.of_drift(5, NAME, FINDING)
    assert event.customer == "acme"
    assert told(event) == {
        "name": NAME,
        "field": "target",
        "kind": "changed",
        "wanted": "82.5",
        "found": "75",
        "action": "observed",
    }


WORST = "\x01"  # six bytes in JSON
ENDLESS = WORST * 1_000_000


def _worst_jobs() -> list[Event]:
    customer, profile = "c" * 128, "p" * 128
    inside = f"customers/{customer}/profiles/{profile}"
    name, voice, plan = (f"{inside}/{kind}/{'x' * 128}" for kind in ("targets", "usecases", "coachingPlans"))
    template = f"{inside}/scorecardTemplates/{'t' * 90}"
    update = TargetUpdate(
        name=name,
        scorecard_template_name=template,
        usecase_name=voice,
        target=33.333332,
        criterion_or_chapter_id="\u00fc" * 128,
        coaching_plan_name=plan,
    )
    creation = TargetCreation(**update.model_dump(exclude_unset=True, exclude={"name"}))
    question = QuotaRecalculation(
        scorecard_template_name=f"{template}@{'r' * 40}",
        usecase_name=voice,
        evaluation_period=EvaluationPeriod(start_time=SINCE, end_time=NOW),
    )
    there = Target(
        name=name,
        scorecard_template_name=ENDLESS,
        usecase_name=ENDLESS,
        criterion_or_chapter_id=ENDLESS,
        coaching_plan_name=ENDLESS,
        target=-3.4028234e38,
        qa_score=1.1754944e-38,
    )
    quota = Quota(total_agent_quota=-INT32_MAX, total_active_agents_count=-INT32_MAX)
    failed = Fail("C" * 40, ENDLESS)
    ends: list[tuple[Wish, Succeed | Fail]] = [
        (update, Succeed("already_there", there)),
        (update, failed),
        (creation, Succeed("created", there)),
        (creation, failed),
        (question, Succeed("recalculated", quota)),
        (question, failed),
    ]
    last = job_id(2**33, MAX_ROWS)
    return [
        event
        for wish, decision in ends
        for event in of_job(
            Ended(last, 2**33, 10**6, wish.kind, wish.resource, wish.model_dump_json(), decision, name),
            previous_quota=INT32_MAX,
        )
    ]


def test_no_message_reaches_twenty_kilobytes_whatever_others_have_said() -> None:
    remote = "r" * 100
    worst = [
        *_worst_jobs(),
        events.of_drift(
            2**62,
            f"{NAME:x<{MAX_NAME_LENGTH}}",
            Finding("coachingPlanName", Kind.IDENTITY, ENDLESS, ENDLESS, Action.OBSERVED),
        ),
        events.of_guard(2**62, "targets", ENDLESS, ENDLESS, NOW),
        events.of_batch(batch(source=ENDLESS, label=ENDLESS, rows=MAX_ROWS, accepted=MAX_ROWS, abandoned=True)),
        events.of_quarantine(remote, ENDLESS, NOW),
        events.of_recovery(remote, SINCE, NOW),
        events.of_disabled_endpoint("ep_0123456789abcdef", '"' * 2_000, ENDLESS, SINCE, NOW),
        events.of_recovered_endpoint("ep_0123456789abcdef", '"' * 2_000, SINCE),
    ]
    assert {event.type for event in worst} == set(EventType)
    sizes = {event.type: len(compose(event.type, NOW, event.data).encode()) for event in worst}
    assert max(sizes.values()) < LONGEST_BODY, sizes


def test_what_is_cut_ends_with_an_ellipsis_and_what_fits_is_whole() -> None:
    (cut,) = of_job(ended(UPDATE, Fail("X", "y" * 1_001)))
    (whole,) = of_job(ended(UPDATE, Fail("X", "y" * 1_000)))
    assert told(cut)["message"] == "y" * 999 + "…"
    assert told(whole)["message"] == "y" * 1_000
