"""`coachsync quotas`: one question or a file of them becomes jobs; the answers are listed, with those before."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from schemas.coaching import Quota
from schemas.ids import format_job_id
from schemas.jobs import JobState, QuotaRecalculation
from tests.integration.cli_rig import Command
from tests.integration.store_rig import (
    TEMPLATE,
    USECASE,
    all_jobs,
    assert_adds_up,
    batch,
    job,
    open_jobs,
    settle,
    states,
    take,
    take_one,
    wish,
    write,
)
from tests.services.stores import on_both, on_sqlite
from worker.core.decisions import Succeed
from worker.store.engine import Database
from worker.store.records import Record

pytestmark = on_sqlite

DATA = Path(__file__).parents[1] / "data"
ONE = ("quotas", "recalculate", "--template", f"{TEMPLATE}@1", "--usecase", USECASE)
RESOURCE = f"{TEMPLATE}@1/quota;usecase=u"
JANUARY = ("--period-start", "2026-01-01T00:00:00Z", "--period-end", "2026-02-01T01:00:00+01:00")
WHAT_IF = {
    "evaluatedConversationCountPerAgent": 5,
    "overriddenAgents": [{"user": "ana", "evaluatedConversationCountPerAgent": 2}],
}


def answer(store: Database, total: int) -> None:
    """The remote answers the one open question."""
    (waiting,) = open_jobs(store)
    one = take_one(store, waiting)
    asked = QuotaRecalculation.model_validate_json(one.wish)
    write(store, Record(one, Succeed("recalculated", Quota(total_agent_quota=total)), wish=asked))


def asked(store: Database) -> dict[str, Any]:
    """The one open question, without what is the same in all of them."""
    question: dict[str, Any] = json.loads(job(store, *open_jobs(store)).wish)
    assert question.pop("scorecardTemplateName") == f"{TEMPLATE}@1"
    assert question.pop("usecaseName") == USECASE
    return question


@on_both
def test_one_question_is_one_urgent_job(store: Database, coachsync: Command) -> None:
    receipt = coachsync.json(*ONE, "--label", "why so many")

    assert receipt == {
        "batch": 1,
        "rows": 1,
        "accepted": 1,
        "rejected": 0,
        "fates": {"queued": 1, "superseded": 0, "unchanged": 0, "repeated": 0, "refused": 0, "stale": 0},
        "replayed": False,
        "rejectedFile": None,
    }
    one, kept = job(store, *open_jobs(store)), batch(store, 1)
    assert (one.kind, one.resource, one.lane) == ("quota_recalculation", RESOURCE, "interactive")
    assert (kept.source, kept.label, kept.lane) == ("command", "why so many", "interactive")
    assert asked(store) == {}
    assert_adds_up(store)


def test_people_are_told_how_to_watch_it(coachsync: Command) -> None:
    told = coachsync(*ONE).out.splitlines()
    assert [told[0], *told[-2:]] == [
        "Batch 1: 1 row, 1 accepted, 0 rejected.",
        "Watch it: coachsync batches wait 1",
        "The answers, once they are there: coachsync quotas list",
    ]


@on_both
def test_who_waits_is_shown_the_answer_and_no_older_one(store: Database, coachsync: Command) -> None:
    coachsync(*ONE)
    answer(store, 40)
    assert "total agent quota" in coachsync("batches", "wait", 1).out
    (shown,) = coachsync.json("batches", "wait", 1)["quotas"]
    assert (shown["resource"], shown["totalAgentQuota"]) == (RESOURCE, 40)

    unanswered = coachsync.json(*ONE, "--wait", "--timeout", 0, code=4)
    assert unanswered["quotas"] == []
    answer(store, 42)
    told = coachsync("batches", "wait", 2).out
    assert told.splitlines()[-1].split()[:3] == [RESOURCE, "42", "40"]
    assert told.endswith(coachsync("batches", "show", 2).out.splitlines()[-1] + "\n")


def test_of_many_answers_the_first_are_shown_and_json_has_all(
    store: Database, coachsync: Command, tmp_path: Path
) -> None:
    names = [f"{TEMPLATE}-{number}@1" for number in range(22)]
    (tmp_path / "quotas.csv").write_text("\n".join(["scorecardTemplateName", *names]))
    coachsync("quotas", "recalculate", "quotas.csv")
    for one in take(store, *open_jobs(store)):
        asked = QuotaRecalculation.model_validate_json(one.wish)
        write(store, Record(one, Succeed("recalculated", Quota(total_agent_quota=7)), wish=asked))
    said = coachsync("batches", "wait", 1).out
    assert (said.count("/quota"), said.splitlines()[-1]) == (20, "All answers: coachsync quotas list")
    assert len(coachsync.json("batches", "wait", 1)["quotas"]) == 22


def test_another_lane_may_be_named(store: Database, coachsync: Command) -> None:
    coachsync(*ONE, "--lane", "bulk")
    assert job(store, *open_jobs(store)).lane == "bulk"


def test_a_period_and_an_override_are_part_of_the_question(store: Database, coachsync: Command, tmp_path: Path) -> None:
    (tmp_path / "what-if.json").write_text(json.dumps(WHAT_IF, indent=2))
    coachsync(*ONE, *JANUARY, "--override", "@what-if.json")
    assert asked(store) == {
        "evaluationPeriod": {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-02-01T00:00:00Z"},
        "overrideTaskCompleteConfig": WHAT_IF,
    }
    resource = job(store, *open_jobs(store)).resource
    assert resource.startswith(f"{RESOURCE};period=2026-01-01T00:00:00Z/2026-02-01T00:00:00Z;override=")


def test_an_override_from_a_file_is_the_same_question_as_on_the_command_line(
    store: Database, coachsync: Command, tmp_path: Path
) -> None:
    (tmp_path / "what-if.json").write_text(json.dumps(WHAT_IF, indent=2))
    coachsync(*ONE, "--override", "@what-if.json")
    coachsync(*ONE, "--override", json.dumps(WHAT_IF))
    coachsync(*ONE, "--override", '{"evaluatedConversationCountPerAgent": 6}')
    first, again, other = all_jobs(store).values()
    assert first.resource == again.resource != other.resource
    assert states(store, [first.id, again.id]) == [JobState.SUPERSEDED, JobState.PENDING]


def test_a_dry_run_shows_the_request_and_writes_nothing(store: Database, coachsync: Command) -> None:
    dry = (*ONE, *JANUARY, "--override", json.dumps(WHAT_IF), "--dry-run")
    shown = coachsync.json(*dry)
    body = {
        "usecaseName": USECASE,
        "overrideTaskCompleteConfig": WHAT_IF,
        "evaluationPeriod": {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-02-01T00:00:00Z"},
    }
    assert (shown["method"], shown["body"]) == ("POST", body)
    assert json.dumps(body) in coachsync(*dry).out
    assert all_jobs(store) == {}


@on_both
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_a_file_asks_row_by_row(store: Database, coachsync: Command, tmp_path: Path, suffix: str) -> None:
    shutil.copy(DATA / f"quotas.{suffix}", tmp_path)

    receipt = coachsync.json("quotas", "recalculate", f"quotas.{suffix}")

    assert (receipt["accepted"], receipt["fates"]["queued"]) == (3, 3)
    plain, of_january, what_if = (json.loads(one.wish) for one in all_jobs(store).values())
    voice = "customers/acme/profiles/eu/scorecardTemplates/voice"
    sales = {"scorecardTemplateName": f"{voice}@r2", "usecaseName": "customers/acme/profiles/eu/usecases/sales"}
    assert plain == {"scorecardTemplateName": f"{voice}@r1"}
    assert of_january == sales | {
        "evaluationPeriod": {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-02-01T00:00:00Z"}
    }
    assert what_if == sales | {"overrideTaskCompleteConfig": WHAT_IF}
    assert all_jobs(store)[open_jobs(store)[2]].request_key == "what-if-1"
    assert batch(store, 1).source == f"file:quotas.{suffix}"
    assert_adds_up(store)


def test_a_wrong_row_of_a_file_is_set_aside_and_a_dry_run_only_counts_it(
    store: Database, coachsync: Command, tmp_path: Path
) -> None:
    (tmp_path / "quotas.csv").write_text(f"scorecardTemplateName\n{TEMPLATE}@1\n{TEMPLATE}\n")
    dry = coachsync.json("quotas", "recalculate", "quotas.csv", "--dry-run", code=1)
    assert (dry["accepted"], dry["rejected"], all_jobs(store)) == (1, 1, {})

    receipt = coachsync.json("quotas", "recalculate", "quotas.csv", code=1)

    assert dry["fates"] == receipt["fates"]
    assert (receipt["accepted"], receipt["rejectedFile"]) == (1, "quotas.csv.rejected.csv")
    assert "needs its @revision" in (tmp_path / "quotas.csv.rejected.csv").read_text()


def test_the_same_key_asks_once_and_a_new_one_again(store: Database, coachsync: Command) -> None:
    first = coachsync.json(*ONE, "--key", "monday")
    assert coachsync.json(*ONE, "--key", "monday") == first | {"replayed": True}
    answer(store, 40)
    assert coachsync.json(*ONE, "--key", "tuesday")["fates"]["queued"] == 1
    assert len(all_jobs(store)) == 2


def test_a_newer_question_replaces_the_one_that_waits_and_an_answered_one_is_asked_anew(
    store: Database, coachsync: Command
) -> None:
    coachsync(*ONE)
    coachsync(*ONE)
    assert states(store, sorted(all_jobs(store))) == [JobState.SUPERSEDED, JobState.PENDING]
    answer(store, 40)
    assert coachsync.json(*ONE)["fates"]["queued"] == 1


def test_waiting_ends_with_4_while_nobody_answers(coachsync: Command) -> None:
    said = coachsync.json(*ONE, "--wait", "--timeout", 0, code=4)
    assert (said["open"], said["receipt"]["accepted"]) == (1, 1)


@on_both
def test_the_answers_are_listed_newest_first_with_the_one_before(store: Database, coachsync: Command) -> None:
    settle(store, wish(1))
    for total in (40, 42):
        coachsync(*ONE)
        answer(store, total)
    newest = format_job_id(max(all_jobs(store)))

    (listed,) = coachsync.json("quotas", "list")
    history = coachsync.json("quotas", "history", RESOURCE)

    assert listed == history[0] | {"previous": 40, "changedAt": history[0]["answeredAt"]}
    assert [(one["totalAgentQuota"], one["resource"]) for one in history] == [(42, RESOURCE), (40, RESOURCE)]
    assert listed["job"] == newest
    assert (listed["scorecardTemplateName"], listed["usecaseName"]) == (f"{TEMPLATE}@1", USECASE)
    heading, *lines = coachsync("quotas", "history", TEMPLATE).out.splitlines()
    assert heading.startswith("answered at")
    assert [line.split()[2] for line in lines] == ["42", "40"]


def test_the_history_of_what_was_never_answered_says_where_to_look(coachsync: Command) -> None:
    told = coachsync("quotas", "history", RESOURCE, code=2).err
    assert told.startswith(f"error: TEMPLATE_OR_RESOURCE: no answer is known for {RESOURCE}; ")
    assert "coachsync quotas list" in told
