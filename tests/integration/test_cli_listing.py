"""The listings: jobs, batches, targets, quotas. What a filter says is what is shown, newest first, page by page."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import insert

from schemas.coaching import Quota
from schemas.ids import format_job_id
from schemas.jobs import JobState, QuotaRecalculation
from schemas.lanes import Lane
from tests.integration.cli_rig import Command
from tests.integration.store_rig import (
    HOME,
    PLAN,
    TEMPLATE,
    USECASE,
    applied,
    change,
    job_ids,
    job_of,
    offer,
    quota_wish,
    settle,
    take,
    take_one,
    tried,
    wish,
    write,
)
from tests.services.stores import on_both, on_sqlite
from worker.core.decisions import Fail, Retry, Succeed
from worker.store.engine import Database
from worker.store.records import Record
from worker.store.steering import cancel
from worker.store.tables import targets

pytestmark = on_sqlite

CODES = ("INVALID_ARGUMENT", "not_found")


@pytest.fixture
def mixed(store: Database) -> list[int]:
    """Jobs in every state, of two batches, lanes and remotes."""
    ids = [
        *job_ids(store, *(wish(number) for number in range(12))),
        *job_ids(store, *(wish(number) for number in range(6, 18)), lane=Lane.INTERACTIVE),
    ]
    taken = take(store, *ids[::2])
    write(store, *(applied(job) for job in taken[:4]))
    write(store, *(tried(job, Fail(CODES[n % 2], "no")) for n, job in enumerate(taken[4:8])))
    with store.write() as session:
        cancel(session, ids[1:4:2])
    change(store, ids[::3], remote="emea")
    return ids


FILTERS = [
    [],
    *(["--state", state] for state in JobState),
    ["--error", "not_found"],
    ["--batch", "1"],
    ["--batch", "2", "--state", "pending"],
    ["--batch", "1", "--state", "superseded"],
    ["--resource", wish(7).name],
    ["--remote", "emea"],
    ["--lane", "interactive"],
    ["--lane", "interactive", "--remote", "default", "--state", "failed"],
    ["--batch", "9"],
    ["--state", "failed", "--remote", "nowhere"],
]
FIELDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "--state": lambda job: job["state"],
    "--error": lambda job: job["errorCode"],
    "--batch": lambda job: str(job["batch"]),
    "--resource": lambda job: job["resource"],
    "--remote": lambda job: job["remote"],
    "--lane": lambda job: job["lane"],
}


@on_both
@pytest.mark.parametrize("few", [0, 20_000], ids=["read in order", "sorted here"])
def test_jobs_list_shows_exactly_those_for_which_all_filters_hold(
    coachsync: Command, mixed: list[int], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("worker.store.selection.FEW", few)
    everything = coachsync.json("jobs", "list")
    assert [job["job"] for job in everything] == [format_job_id(one) for one in sorted(mixed, reverse=True)]
    for filters in FILTERS:
        said = dict(zip(filters[::2], filters[1::2], strict=True))
        expected = [job for job in everything if all(FIELDS[name](job) == value for name, value in said.items())]
        assert coachsync.json("jobs", "list", *filters) == expected, filters


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize("filters", [[], ["--state", "pending"], ["--state", "superseded"]])
def test_jobs_list_goes_on_where_the_page_before_ended(coachsync: Command, filters: list[str]) -> None:
    whole = coachsync.json("jobs", "list", *filters)
    assert len(whole) > 3
    pages, after = [], []
    while len(pages) <= len(whole) and (page := coachsync.json("jobs", "list", *filters, "--limit", 3, *after)):
        pages += page
        after = ["--after", page[-1]["job"]]
    assert pages == whole


@pytest.mark.usefixtures("mixed")
def test_a_full_page_says_how_to_go_on(coachsync: Command) -> None:
    said = coachsync("jobs", "list", "--limit", 2)
    assert said.err == "the newest 2; for more: --after 2-11\n"


def test_an_error_code_and_another_state_contradict_each_other(coachsync: Command) -> None:
    said = coachsync("jobs", "list", "--error", "not_found", "--state", "pending", code=2)
    assert said.err == "error: --error: only failed jobs have an error code; leave --state pending out\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["jobs", "list", "--batch", "x"], "--batch: 'x' is no batch id; expected a number like 17"),
        (["jobs", "list", "--after", "17"], "--after: '17' is no job id; expected BATCH-ROW like 17-203"),
        (["jobs", "show", "17-0"], "JOB: '17-0' is no job id; expected BATCH-ROW like 17-203"),
        (["batches", "show", "1-2"], "BATCH: '1-2' is no batch id; expected a number like 17"),
        (["targets", "list", "--customer", "a/b"], "--customer: "),
        (["targets", "list", "--plan", "p"], "--plan: 'p' is no coaching plan name; expected "),
        (["targets", "show", "t-1"], "NAME: 't-1' is no target name; expected "),
        (["quotas", "list", "--usecase", "u"], "--usecase: 'u' is no usecase name; expected "),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line_that_names_the_field(
    coachsync: Command, arguments: list[str], words: str
) -> None:
    said = coachsync(*arguments, code=2)
    assert said.err.startswith(f"error: {words}")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["jobs", "show", "9-9"], "JOB: there is no job 9-9"),
        (["batches", "show", "9"], "BATCH: there is no batch 9 (coachsync batches list)"),
        (["targets", "show", wish(1).name], f"NAME: nothing is known of {wish(1).name}"),
        (["quotas", "history", f"{TEMPLATE}@1"], "TEMPLATE_OR_RESOURCE: no answer is known for "),
    ],
)
def test_what_is_not_there_is_said_with_where_to_look(coachsync: Command, arguments: list[str], words: str) -> None:
    assert coachsync(*arguments, code=2).err.startswith(f"error: {words}")


def test_jobs_show_has_every_field_and_every_attempt(store: Database, coachsync: Command) -> None:
    one = job_of(store, wish(1, 40, request_key="k-1"))
    failed = tried(take_one(store, one), Retry(timedelta(0), failure=True))
    write(store, failed)
    write(store, applied(take_one(store, one)))
    shown = coachsync.json("jobs", "show", format_job_id(one))
    assert (shown["state"], shown["result"], shown["requestKey"]) == ("succeeded", "applied", "k-1")
    assert shown["wish"]["target"] == 40
    assert [attempt["number"] for attempt in shown["attemptsMade"]] == [1, 2]
    assert shown["attemptsMade"][0]["requestId"] == failed.tried[0].request_id
    assert "update_target" in coachsync("jobs", "show", format_job_id(one)).out


def test_batches_list_shows_the_newest_first_or_the_open_ones_only(store: Database, coachsync: Command) -> None:
    settle(store, wish(1))
    offer(store, wish(2), None)
    assert [batch["batch"] for batch in coachsync.json("batches", "list")] == [2, 1]
    (still_open,) = coachsync.json("batches", "list", "--open")
    assert (still_open["batch"], still_open["open"], still_open["rejected"]) == (2, 1, 1)
    assert [batch["batch"] for batch in coachsync.json("batches", "list", "--limit", 1)] == [2]


@on_both
def test_batches_show_tells_what_failed_by_code_and_the_rejected_rows_in_the_order_of_the_file(
    store: Database, coachsync: Command
) -> None:
    ids = job_ids(store, wish(1), None, wish(2), wish(3), None)
    first, second, third = take(store, *ids)
    write(store, tried(first, Fail("not_found", "gone")), tried(second, Fail("not_found", "gone")))
    write(store, tried(third, Fail("mismatch", "other")))
    elsewhere = job_of(store, wish(9))
    write(store, tried(take_one(store, elsewhere), Fail("not_found", "not of this batch")))

    shown = coachsync.json("batches", "show", 1)

    assert [(error["errorCode"], error["count"], error["example"]) for error in shown["errors"]] == [
        ("not_found", 2, "1-1"),
        ("mismatch", 1, "1-4"),
    ]
    assert [(one["line"], one["row"], one["field"]) for one in shown["rejections"]] == [
        (3, 2, "target"),
        (6, 5, "target"),
    ]
    assert len(coachsync.json("batches", "show", 1, "--limit", 1)["rejections"]) == 1
    told = coachsync("batches", "show", 1).out
    assert "5 rows = 3 accepted + 2 rejected" in told
    assert "3 accepted = 0 succeeded + 3 failed + 0 superseded + 0 cancelled\n" in told


@on_both
def test_targets_list_goes_by_name_and_takes_every_filter(store: Database, coachsync: Command) -> None:
    other_plan = f"{HOME}/coachingPlans/q"
    settle(store, wish(1), wish(2), wish(3, coaching_plan_name=other_plan))
    with store.write() as session:
        stranger = {
            "name": "customers/Acme/profiles/main/targets/t-1",
            "scorecard_template_name": "customers/Acme/profiles/main/scorecardTemplates/s",
            "criterion_or_chapter_id": "",
            "target": 1.0,
            "usecase_name": "",
            "coaching_plan_name": "",
            "uncertain": True,
            "known_at": datetime(2026, 1, 1, tzinfo=UTC),
            "job_id": 1,
        }
        session.execute(insert(targets), [stranger])

    def names(*filters: object) -> list[str]:
        return [
            target["name"].removeprefix(f"{HOME}/targets/") for target in coachsync.json("targets", "list", *filters)
        ]

    ours = ["t-1", "t-2", "t-3"]
    assert names("--customer", "acme") == ours
    assert names("--customer", "Acme") == [stranger["name"]]
    assert names("--customer", "ac") == []
    assert names("--template", TEMPLATE) == ours
    assert names("--plan", PLAN) == ["t-1", "t-2"]
    assert names("--plan", other_plan) == ["t-3"]
    assert names("--uncertain") == [stranger["name"]]
    assert names("--customer", "acme", "--limit", 2) == ["t-1", "t-2"]
    assert names("--after", wish(2).name, "--customer", "acme") == ["t-3"]


@pytest.mark.parametrize(
    ("newest", "differences"),
    [({"value": 10}, []), ({"value": 20}, ["target"]), ({"value": 10, "qa_score": 5.0}, ["qaScore"])],
)
def test_targets_show_says_in_what_the_remote_differs_from_the_newest_wish(
    store: Database, coachsync: Command, newest: dict[str, Any], differences: list[str]
) -> None:
    settle(store, wish(1, 10))
    job_of(store, wish(1, **newest))
    shown = coachsync.json("targets", "show", wish(1).name)
    assert (shown["known"]["target"], shown["known"]["job"]) == (10, "1-1")
    assert shown["newestWish"]["job"] == "2-1"
    assert (shown["differences"], shown["differs"]) == (differences, bool(differences))


def test_targets_show_does_not_say_what_nobody_can_know(store: Database, coachsync: Command) -> None:
    one = job_of(store, wish(1, 10))
    assert coachsync.json("targets", "show", wish(1).name)["differs"] is None
    write(store, applied(take_one(store, one)))
    assert coachsync.json("targets", "show", wish(1).name)["differs"] is False
    later = job_of(store, wish(1, 20))
    write(store, tried(take_one(store, later), Retry(timedelta(0), failure=True, read_first=True)))
    assert coachsync.json("targets", "show", wish(1).name)["differs"] is None
    assert "not certain" in coachsync("targets", "show", wish(1).name).out


def answer(store: Database, *totals: int, **said: Any) -> None:
    for total in totals:
        asked = quota_wish(**said)
        one = take_one(store, job_of(store, asked))
        known = Quota(total_agent_quota=total, total_active_agents_count=4)
        write(store, Record(one, Succeed("recalculated", known), wish=QuotaRecalculation.model_validate_json(one.wish)))


@on_both
def test_quotas_list_shows_the_value_before_the_present_one_and_since_when_it_holds(
    store: Database, coachsync: Command
) -> None:
    answer(store, 40, 42, 42)
    answer(store, 7, usecase_name=USECASE)
    whole, of_usecase = coachsync.json("quotas", "list")
    history = coachsync.json("quotas", "history", whole["resource"])
    assert [one["totalAgentQuota"] for one in history] == [42, 42, 40]
    assert all(newer["answeredAt"] > older["answeredAt"] for newer, older in pairwise(history))
    assert (whole["totalAgentQuota"], whole["previous"]) == (42, 40)
    assert (whole["changedAt"], whole["answeredAt"]) == (history[1]["answeredAt"], history[0]["answeredAt"])
    assert (of_usecase["totalAgentQuota"], of_usecase["previous"]) == (7, None)
    assert of_usecase["changedAt"] == of_usecase["answeredAt"]


@on_both
def test_quotas_are_found_by_template_with_or_without_revision_and_by_usecase(
    store: Database, coachsync: Command
) -> None:
    answer(store, 40)
    answer(store, 7, usecase_name=USECASE)

    def totals(*filters: object) -> list[int]:
        return [quota["totalAgentQuota"] for quota in coachsync.json("quotas", *filters)]

    assert totals("list", "--template", TEMPLATE) == totals("list", "--template", f"{TEMPLATE}@1") == [40, 7]
    assert (
        totals("list", "--template", f"{TEMPLATE}@2")
        == totals("list", "--template", f"{HOME}/scorecardTemplates/S")
        == []
    )
    assert totals("list", "--usecase", USECASE) == [7]
    assert totals("history", f"{TEMPLATE}@1") == totals("history", TEMPLATE) == [7, 40]
    assert totals("history", TEMPLATE, "--limit", 1) == [7]


def test_an_empty_listing_is_an_empty_array_for_programs_and_a_word_on_stderr_for_people(coachsync: Command) -> None:
    for group in ("jobs", "batches", "targets", "quotas"):
        assert coachsync.json(group, "list") == []
        said = coachsync(group, "list")
        assert (said.out, said.err.count("\n")) == ("", 1)


def test_a_row_is_one_line_where_nobody_looks_at_it(coachsync: Command, mixed: list[int]) -> None:
    lines = coachsync("jobs", "list").out.splitlines()
    assert len(lines) == len(mixed) + 1


def test_text_of_others_cannot_steer_the_terminal(store: Database, coachsync: Command) -> None:
    one = job_of(store, wish(1))
    write(store, tried(take_one(store, one), Fail("odd", "\x1b[2Jgone\r")))
    assert "\\x1b[2Jgone\\r" in coachsync("jobs", "list").out
    assert "\x1b" not in coachsync("explain", format_job_id(one)).out
