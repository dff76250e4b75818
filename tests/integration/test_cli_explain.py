"""`coachsync explain`: from any job, batch, target or quota, the whole chain."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.coaching import EvaluationPeriod, Quota
from schemas.ids import format_job_id
from schemas.jobs import JobState, QuotaRecalculation, TargetCreation
from schemas.lanes import Lane
from tests.integration.cli_rig import Command
from tests.integration.store_rig import (
    PLAN,
    TEMPLATE,
    USECASE,
    applied,
    change,
    job_ids,
    job_of,
    let_time_pass,
    offer,
    quota_wish,
    remote_target,
    settle,
    take,
    take_one,
    tried,
    wish,
    write,
)
from tests.services.stores import on_both, on_sqlite
from worker.core.decisions import Fail, Retry, Succeed
from worker.store.dispatching import take_due
from worker.store.engine import Database
from worker.store.quarantine import put_aside
from worker.store.records import Record, Tried

pytestmark = on_sqlite

HOUR = timedelta(hours=1)


@on_both
def test_a_job_s_story_goes_from_its_batch_over_every_attempt_to_what_is_known_now(
    store: Database, coachsync: Command
) -> None:
    older, newer = job_of(store, wish(1, 10)), job_of(store, wish(1, 20))
    throttled = Tried("update_target", datetime(2026, 1, 1, tzinfo=UTC), 12.0, 429, "throttled", "slow down", "r-1")
    write(store, Record(take_one(store, newer), Retry(timedelta(0), failure=False), (throttled,)))
    write(store, applied(take_one(store, newer)))

    story = coachsync.json("explain", format_job_id(newer))

    assert (story["job"], story["state"], story["why"]) == (
        format_job_id(newer), "succeeded", "the remote answered with what was wished",
    )  # fmt: skip
    assert (story["acceptedWith"]["batch"], story["acceptedWith"]["source"], story["row"]) == (2, "test", 1)
    assert story["wish"]["target"] == 20
    assert story["supersedes"] == [format_job_id(older)]
    assert [(one["number"], one["status"], one["outcome"], one["message"]) for one in story["attemptsMade"]] == [
        (1, 429, "throttled", "slow down"),
        (2, 200, "answered", None),
    ]
    assert (story["known"]["target"], story["known"]["job"]) == (20, format_job_id(newer))
    assert story["waiting"] is None

    told = coachsync("explain", format_job_id(newer)).out
    order = ["row 1 of batch 2 (test)", "took the place of 1-1", "HTTP 429 after 12 ms", "HTTP 200", "showed 20 at"]
    assert sorted(order, key=told.index) == order


def test_a_superseded_job_names_the_one_that_took_its_place_and_the_newest_wish_of_all(
    store: Database, coachsync: Command
) -> None:
    first, second, third = (job_of(store, wish(1, value)) for value in (10, 20, 30))
    story = coachsync.json("explain", format_job_id(first))
    assert (story["supersededBy"], story["supersededByState"]) == (format_job_id(second), "superseded")
    assert story["newestWish"]["job"] == format_job_id(third)
    assert story["why"] == f"{format_job_id(second)}, a newer wish, took its place"


@pytest.mark.parametrize(
    ("fate", "why"),
    [
        ("unchanged", "not sent: the remote was known to have it already"),
        ("repeated", "not sent: its request key had been accepted before, as 1-1"),
        ("late", "not sent: 1-1 is a newer wish"),
    ],
)
def test_a_wish_that_was_never_sent_says_why(store: Database, coachsync: Command, fate: str, why: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    settle(store, wish(1, 10, request_key="k", as_of=now))
    if fate == "unchanged":
        offer(store, wish(1, 10))
    else:
        offer(store, wish(1, 10, as_of=now, request_key="k") if fate == "repeated" else wish(1, 20, as_of=now - HOUR))
    assert coachsync.json("explain", "2-1")["why"] == why


@on_both
def test_a_job_that_waits_says_for_what_and_until_when(store: Database, coachsync: Command) -> None:
    first, second, third = job_ids(store, wish(1), wish(2), wish(3))
    told = coachsync.json("explain", format_job_id(third))["waiting"]
    assert told["ahead"] == 2
    assert told["why"].endswith("; 2 jobs of default, bulk before it")

    with store.write() as session:
        take_due(session, "default", Lane.BULK, 1)
    assert coachsync.json("explain", format_job_id(first))["waiting"]["why"].endswith(
        "it lies with the broker until a worker takes it"
    )

    unavailable = Tried("update_target", datetime(2026, 1, 1, tzinfo=UTC), 3.0, 503, "unavailable", "try later", "r")
    write(store, Record(take_one(store, second), Retry(HOUR, failure=True), (unavailable,)))
    told = coachsync.json("explain", format_job_id(second))["waiting"]
    assert told["why"].startswith("the next try is at ")
    assert told["why"].endswith("because its last attempt came to: unavailable, not done: try later")

    with store.write() as session:
        put_aside(session, "default", "not let in")
    told = coachsync.json("explain", format_job_id(second))["waiting"]
    assert told["why"].startswith("the remote default is in quarantine since ")
    assert "(not let in)" in told["why"]


def test_a_newer_wish_waits_for_the_older_one_that_runs(store: Database, coachsync: Command) -> None:
    older = job_of(store, wish(1, 10))
    take_one(store, older)
    newer = job_of(store, wish(1, 20))
    told = coachsync.json("explain", format_job_id(newer))["waiting"]
    assert (told["running"], told["why"]) == (
        format_job_id(older),
        f"{format_job_id(older)}, an older wish for the same resource, is still running",
    )
    assert coachsync.json("explain", format_job_id(older))["why"].startswith("a worker holds it until ")


def test_a_target_s_story_has_its_wishes_newest_first_each_with_its_end(store: Database, coachsync: Command) -> None:
    settle(store, wish(1, 10))
    failed = job_of(store, wish(1, 20))
    write(store, tried(take_one(store, failed), Fail("mismatch", "did something else", remote_target(wish(1), 15))))
    waiting = job_of(store, wish(1, 30))

    story = coachsync.json("explain", wish(1).name)

    assert (story["known"]["target"], story["newestWish"]["job"]) == (15, format_job_id(waiting))
    assert [(one["job"], one["state"], one["why"]) for one in story["wishes"]] == [
        ("3-1", "pending", None),
        ("2-1", "failed", "mismatch: did something else"),
        ("1-1", "succeeded", "the remote answered with what was wished"),
    ]
    assert [len(one["attemptsMade"]) for one in story["wishes"]] == [0, 1, 1]
    told = coachsync("explain", wish(1).name).out
    assert told.count("update_target: HTTP 200") == 2
    assert "the remote showed 15 at " in told
    assert "target 30, criterionOrChapterId c" in told
    assert story["waiting"]["job"] == "3-1"
    assert [one["job"] for one in coachsync.json("explain", wish(1).name, "--limit", 1)["wishes"]] == ["3-1"]
    assert "Wishes, the newest 1 of 3:" in coachsync("explain", wish(1).name, "--limit", 1).out


def recalculated(store: Database, total: int, **said: Any) -> str:
    asked = quota_wish(**said)
    one = take_one(store, job_of(store, asked))
    answer = Succeed("recalculated", Quota(total_agent_quota=total))
    write(store, Record(one, answer, wish=QuotaRecalculation.model_validate_json(one.wish)))
    return asked.resource


def test_a_template_stands_for_its_quota_where_it_has_one_only(store: Database, coachsync: Command) -> None:
    whole = recalculated(store, 42)
    assert coachsync.json("explain", f"{TEMPLATE}@1")["name"] == whole
    assert coachsync.json("explain", whole)["known"]["totalAgentQuota"] == 42
    of_usecase = recalculated(store, 7, usecase_name=USECASE)
    said = coachsync("explain", f"{TEMPLATE}@1", code=2)
    assert said.err == f"error: NAME: {TEMPLATE}@1 has several quotas; name one of them: {whole} {of_usecase}\n"
    assert coachsync.json("explain", of_usecase)["known"]["totalAgentQuota"] == 7


def test_a_batch_s_story_adds_up_and_names_errors_rejections_slow_answers_and_a_job_that_is_open(
    store: Database, coachsync: Command
) -> None:
    ids = job_ids(store, wish(1), wish(2), None, wish(3))
    slow = Tried("update_target", datetime(2026, 1, 1, tzinfo=UTC), 2500.0, 200, "answered", None, "r")
    first, second = take(store, *ids[:2])
    write(store, applied(first), Record(second, Fail("not_found", "gone"), (slow,)))

    story = coachsync.json("explain", 1)

    assert {name: story[name] for name in ("rows", "accepted", "rejected", "succeeded", "failed", "open")} == {
        "rows": 4, "accepted": 3, "rejected": 1, "succeeded": 1, "failed": 1, "open": 1,
    }  # fmt: skip
    assert [(error["errorCode"], error["example"]) for error in story["errors"]] == [("not_found", "1-2")]
    assert [(one["job"], one["latencyMs"]) for one in story["slowest"]] == [("1-2", 2500), ("1-1", 3)]
    assert [one["line"] for one in story["rejections"]] == [4]
    assert (story["stillOpen"]["job"], story["waiting"]["job"]) == ("1-4", "1-4")
    told = coachsync("explain", 1).out
    assert "3 accepted = 1 succeeded + 1 failed + 0 superseded + 0 cancelled + 1 open" in told
    assert "2.5 s: 1-2, attempt 1" in told


def test_a_row_that_was_rejected_says_so_with_its_reason(store: Database, coachsync: Command) -> None:
    offer(store, wish(1), None)
    said = coachsync("explain", "1-2", code=2)
    reason = "row 2 of batch 1 was rejected (line 3): target: must be a number"
    assert said.err == f"error: JOB: there is no job 1-2: {reason}\n"


def test_a_batch_that_has_ended_has_nothing_open(store: Database, coachsync: Command) -> None:
    settle(store, wish(1))
    story = coachsync.json("explain", 1)
    assert (story["stillOpen"], story["waiting"]) == (None, None)
    assert "completed at" in coachsync("explain", 1).out


def test_a_repeated_look_is_the_same_while_nothing_happens(store: Database, coachsync: Command) -> None:
    one = job_of(store, wish(1))
    let_time_pass(store)
    change(store, [one], state=JobState.CANCELLED, finished_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert coachsync("explain", "1-1") == coachsync("explain", "1-1")
    assert coachsync.json("explain", "1-1")["why"] == "by an operator, before it was sent"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "nonsense",
            "NAME|JOB|BATCH|EVENT|AGENT|MESSAGE: 'nonsense' is none of these, or is not known: a job (17-203), a",
        ),
        ("9", "BATCH: there is no batch 9; it may have been pruned"),
        ("9-3", "JOB: there is no job 9-3: batch 9 has no row 3, or it was pruned (coachsync batches show 9)"),
        (wish(1).name, f"NAME: nothing is known of {wish(1).name}, and nothing was ever wished for it; expected a job"),
        ("17-203-4", "NAME|JOB|BATCH|EVENT|AGENT|MESSAGE: '17-203-4' is none of these"),
    ],
)
def test_an_unknown_name_says_what_is_taken(coachsync: Command, name: str, words: str) -> None:
    said = coachsync("explain", name, code=2)
    assert said.err.startswith(f"error: {words}")
    assert said.err.count("\n") == 1


def test_a_creation_is_told_by_what_its_target_is_for_and_by_the_name_that_it_got(
    store: Database, coachsync: Command
) -> None:
    created = job_of(
        store,
        TargetCreation(
            scorecard_template_name=TEMPLATE, usecase_name=USECASE, target=82.5, coaching_plan_name=PLAN,
            criterion_or_chapter_id="c",
        ),
    )  # fmt: skip
    (listed,) = coachsync.json("jobs", "list")
    assert (listed["kind"], listed["resource"]) == (
        "target_creation",
        "customers/acme/profiles/main/targets;template=s;usecase=u;criterion=c;plan=p",
    )
    write(store, tried(take_one(store, created), Succeed("created", remote_target(wish("new", 82.5)))))

    told = coachsync("explain", format_job_id(created)).out

    assert "succeeded: the remote had no such target, and has it now" in told
    assert "the remote showed 82.5 at" in told
    assert coachsync.json("explain", format_job_id(created))["known"]["name"] == wish("new").name
    assert format_job_id(created) in coachsync("explain", wish("new").name).out


def test_a_quota_is_told_with_the_period_that_it_is_for(store: Database, coachsync: Command) -> None:
    asked = quota_wish(usecase_name=USECASE, period="next")
    period = EvaluationPeriod(start_time=datetime(2026, 2, 2, tzinfo=UTC), end_time=datetime(2026, 2, 9, tzinfo=UTC))
    one = take_one(store, job_of(store, asked))
    answer = tried(one, Succeed("recalculated", Quota(total_agent_quota=12, total_active_agents_count=3)))
    write(store, replace(answer, wish=asked.model_copy(update={"evaluation_period": period})))

    told = coachsync("explain", asked.resource).out

    assert "gave 12 for 3 active agents in the period 2026-02-02 00:00:00 to 2026-02-09 00:00:00" in told
    (quota,) = coachsync.json("quotas", "list")
    assert (quota["periodStart"], quota["periodEnd"]) == ("2026-02-02T00:00:00Z", "2026-02-09T00:00:00Z")
