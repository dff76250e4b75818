"""The way in for Python producers: what is in the receipt is committed, and every row's fate is in the receipt."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.ids import job_id
from schemas.jobs import JobState, QuotaRecalculation, TargetUpdate
from schemas.lanes import Lane
from tests.integration.cli_rig import command_on
from tests.integration.store_rig import (
    PLAN,
    TEMPLATE,
    USECASE,
    all_jobs,
    applied,
    assert_adds_up,
    batch,
    job,
    name_of,
    open_jobs,
    quota_wish,
    settle,
    states,
    take,
    wish,
    write,
)
from tests.services.stores import on_both, on_sqlite
from worker.clock import utc_now
from worker.configuration.settings import load_settings
from worker.core.acceptance import Fate
from worker.intake.accept import PAGE
from worker.producer import KeyConflict, Receipt, enqueue_quota_recalculations, enqueue_target_updates
from worker.runtime import Runtime
from worker.store import schema
from worker.store.engine import Database

pytestmark = on_sqlite

GOOD = {
    "name": name_of(1),
    "scorecardTemplateName": TEMPLATE,
    "usecaseName": USECASE,
    "target": 50,
}
SNAKE_CASE = {
    "name": name_of(1),
    "scorecard_template_name": TEMPLATE,
    "usecase_name": USECASE,
    "target": "50",
}
JANUARY = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-02-01T00:00:00Z"}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def make_runtime(store: Database, tmp_path: Path) -> Iterator[Callable[..., Runtime]]:
    made: list[Runtime] = []

    def make(**settings: str) -> Runtime:
        """An empty text unsets one."""
        environ = {name: value for name, value in command_on(store, tmp_path, **settings).environ.items() if value}
        made.append(Runtime(load_settings(environ, cwd=tmp_path)))
        return made[-1]

    yield make
    for runtime in made:
        runtime.close()


@pytest.fixture
def runtime(make_runtime: Callable[..., Runtime]) -> Runtime:
    """A producer's own connections to the store; nobody listens at its broker."""
    return make_runtime()


def fates(receipt: Receipt) -> list[Fate]:
    return [row.fate for row in receipt.row_fates]


def jobs_of(receipt: Receipt) -> list[int]:
    return [row.job_id for row in receipt.row_fates if row.job_id is not None]


@on_both
def test_what_it_says_is_accepted_is_committed_when_it_returns_though_nobody_listens_at_the_broker(
    store: Database, runtime: Runtime
) -> None:
    receipt = enqueue_target_updates([wish(1), wish(2)], label="from HR", runtime=runtime)

    assert (receipt.rows, receipt.accepted, receipt.rejected, receipt.replayed) == (2, 2, 0, False)
    assert jobs_of(receipt) == open_jobs(store) == [job_id(receipt.batch_id, row) for row in (1, 2)]
    assert fates(receipt) == [Fate.QUEUED, Fate.QUEUED]
    kept = batch(store, receipt.batch_id)
    assert (kept.source, kept.label, kept.key, kept.lane, kept.accepted) == ("python", "from HR", None, "bulk", 2)
    assert kept.sealed_at is not None
    assert_adds_up(store)


def test_where_a_broker_listens_the_work_is_on_its_way_when_it_returns(
    store: Database, make_runtime: Callable[..., Runtime], valkey: str
) -> None:
    receipt = enqueue_target_updates([GOOD], runtime=make_runtime(broker_url=valkey))
    assert job(store, *jobs_of(receipt)).published_until is not None


@pytest.mark.parametrize(
    "given", [GOOD, SNAKE_CASE, TargetUpdate.model_validate(GOOD)], ids=["camelCase", "snake_case", "typed"]
)
def test_however_a_target_update_is_spelled_it_is_the_same_wish(
    store: Database, runtime: Runtime, given: TargetUpdate | Mapping[str, Any]
) -> None:
    (one,) = jobs_of(enqueue_target_updates([given], runtime=runtime))
    assert json.loads(job(store, one).wish) == GOOD


@pytest.mark.parametrize(
    "given",
    [
        {"scorecardTemplateName": f"{TEMPLATE}@1", "usecaseName": USECASE, "evaluationPeriod": JANUARY},
        {
            "scorecard_template_name": f"{TEMPLATE}@1",
            "usecase_name": USECASE,
            "evaluation_period": {"start_time": JANUARY["startTime"], "end_time": JANUARY["endTime"]},
        },
        quota_wish(usecase_name=USECASE, evaluation_period=JANUARY),
    ],
    ids=["camelCase", "snake_case", "typed"],
)
def test_however_a_quota_recalculation_is_spelled_it_is_the_same_wish(
    store: Database, runtime: Runtime, given: QuotaRecalculation | Mapping[str, Any]
) -> None:
    receipt = enqueue_quota_recalculations([given], runtime=runtime)
    kept = job(store, *jobs_of(receipt))
    assert (kept.kind, kept.state, kept.lane) == ("quota_recalculation", "pending", "bulk")
    assert kept.resource == f"{TEMPLATE}@1/quota;usecase=u;period=2026-01-01T00:00:00Z/2026-02-01T00:00:00Z"


WRONG: list[tuple[Any, str, str, str]] = [
    (GOOD | {"target": "many"}, "target", "'many' is no number; write it like 82.5", "many"),
    (GOOD | {"target": 101}, "target", "101 is outside 0 to 100 (percent)", "101"),
    (
        {"name": name_of(1), "target": 5},
        "scorecardTemplateName, usecaseName",
        "required, but nothing is given; required, but nothing is given",
        ", ",
    ),
    (GOOD | {"tarjet": 5}, "tarjet", "unknown field", "5"),
    (GOOD | {"usecase_name": USECASE}, "usecase_name", "unknown field", USECASE),
    (GOOD | {"asOf": "2999-01-01T00:00:00Z"}, "asOf", "lies in the future", "2999-01-01"),
    ("targets.csv", "", "must be a JSON object", ""),
    (quota_wish(), "", "must be a JSON object", ""),
    (wish(1).model_copy(update={"name": name_of(1).replace("acme", "nobody")}), "name", "no remote serves", "nobody"),
]


@on_both
def test_a_wrong_row_is_refused_with_its_field_and_reason_and_the_others_go_on(
    store: Database, make_runtime: Callable[..., Runtime], tmp_path: Path
) -> None:
    (tmp_path / "one.toml").write_text("[remotes.one]\napi_url = 'http://127.0.0.1:1'\ncustomers = ['acme']\n")
    given: list[Any] = [wish(2), *(one for one, *_ in WRONG), wish(3)]

    receipt = enqueue_target_updates(given, runtime=make_runtime(api_url="", config="one.toml"))

    first, *refused, last = receipt.row_fates
    assert (receipt.rows, receipt.accepted, receipt.rejected) == (len(WRONG) + 2, 2, len(WRONG))
    assert [row.row for row in receipt.row_fates] == list(range(1, len(WRONG) + 3))
    assert [one.job_id for one in (first, last)] == open_jobs(store)
    for row, (_, field, reason, value) in zip(refused, WRONG, strict=True):
        assert (row.fate, row.job_id, row.field) == (Fate.REFUSED, None, field)
        assert row.reason is not None
        assert row.reason.startswith(reason)
        assert row.value is not None
        assert value in row.value
    assert_adds_up(store)


@pytest.mark.parametrize(
    ("enqueue", "given"),
    [(enqueue_target_updates, wish(1)), (enqueue_quota_recalculations, quota_wish())],
    ids=["targets", "quotas"],
)
def test_nothing_to_accept_is_a_batch_that_has_ended(
    store: Database, runtime: Runtime, enqueue: Callable[..., Receipt], given: object
) -> None:
    receipt = enqueue([], runtime=runtime)
    assert (receipt.rows, receipt.row_fates) == (0, ())
    assert batch(store, receipt.batch_id).completed_at is not None
    assert enqueue([given], runtime=runtime).accepted == 1


@on_both
def test_the_same_key_returns_the_first_receipt_and_writes_nothing(store: Database, runtime: Runtime) -> None:
    settle(store, wish(4))
    rows: list[Any] = [wish(1), GOOD | {"target": "many"}, wish(2, 10), wish(2, 20), wish(4)]
    first = enqueue_target_updates(rows, key="nightly", runtime=runtime)
    assert fates(first) == [Fate.QUEUED, Fate.REFUSED, Fate.SUPERSEDED, Fate.QUEUED, Fate.UNCHANGED]
    before = all_jobs(store)

    again = enqueue_target_updates((row for row in rows), key="nightly", runtime=runtime)

    assert again == replace(first, replayed=True)
    assert all_jobs(store) == before
    assert_adds_up(store)


@on_both
def test_the_receipt_of_a_key_is_the_same_once_the_work_is_done(store: Database, runtime: Runtime) -> None:
    rows = [wish(1), wish(2)]
    first = enqueue_target_updates(rows, key="nightly", runtime=runtime)
    write(store, *(applied(one) for one in take(store, *jobs_of(first))))
    assert enqueue_target_updates(rows, key="nightly", runtime=runtime) == replace(first, replayed=True)


@pytest.mark.parametrize(
    ("offered", "told"),
    [
        ([wish(1), wish(2, 60)], "row 2: target was 50.0, now 60.0"),
        ([wish(1), GOOD | {"target": "many"}], "row 2: was a wish then, cannot be read now"),
        ([wish(1)], "which has 2 rows; this has 1"),
        ([wish(1), wish(2), wish(3)], "which has 2 rows; this has at least 3"),
        ([wish(1), wish(2, coaching_plan_name="")], f"row 2: coachingPlanName was {PLAN}, now empty"),
    ],
    ids=["another value", "unreadable now", "shorter", "longer", "for another plan"],
)
def test_the_same_key_with_other_content_is_a_conflict_that_names_the_difference_and_writes_nothing(
    store: Database, runtime: Runtime, offered: list[Any], told: str
) -> None:
    enqueue_target_updates([wish(1), wish(2)], key="nightly", runtime=runtime)
    before = all_jobs(store)
    with pytest.raises(KeyConflict) as conflict:
        enqueue_target_updates(offered, key="nightly", runtime=runtime)
    assert str(conflict.value).startswith("the key 'nightly' was used for batch 1")
    assert told in str(conflict.value)
    assert all_jobs(store) == before
    assert_adds_up(store)


@pytest.mark.parametrize("key", ["", "two words", "ä", "k" * 256])
def test_a_key_that_cannot_be_one_is_refused_before_anything_is_written(
    store: Database, runtime: Runtime, key: str
) -> None:
    with pytest.raises(ValueError, match="must be 1 to 255 printable ASCII characters"):
        enqueue_target_updates([GOOD], key=key, runtime=runtime)
    assert all_jobs(store) == {}


@on_both
def test_what_a_source_yielded_before_it_broke_is_accepted_page_by_page_and_the_key_goes_on_from_there(
    store: Database, runtime: Runtime
) -> None:
    rows = [wish(number) for number in range(PAGE + 200)]

    def breaking() -> Iterator[TargetUpdate]:
        yield from rows[: PAGE + 100]
        raise ConnectionError("the source is gone")

    with pytest.raises(ConnectionError, match="the source is gone"):
        enqueue_target_updates(breaking(), key="nightly", runtime=runtime)
    assert len(open_jobs(store)) == PAGE
    assert batch(store, 1).sealed_at is None

    receipt = enqueue_target_updates(rows, key="nightly", runtime=runtime)

    assert (receipt.batch_id, receipt.accepted, receipt.replayed) == (1, PAGE + 200, False)
    assert jobs_of(receipt) == open_jobs(store)
    assert_adds_up(store)


@on_both
def test_what_the_remote_has_already_is_unchanged_unless_it_is_forced(store: Database, runtime: Runtime) -> None:
    settle(store, wish(1, 82.5))

    same = enqueue_target_updates([wish(1, 82.5)], runtime=runtime)
    assert (fates(same), states(store, jobs_of(same))) == ([Fate.UNCHANGED], [JobState.SUCCEEDED])
    assert batch(store, same.batch_id).completed_at is not None

    forced = enqueue_target_updates([wish(1, 82.5)], force=True, runtime=runtime)
    assert (fates(forced), states(store, jobs_of(forced))) == ([Fate.QUEUED], [JobState.PENDING])
    assert job(store, *jobs_of(forced)).forced is True


def test_the_lane_is_the_batchs_unless_the_row_says_another(store: Database, runtime: Runtime) -> None:
    rows = [wish(1), wish(2, priority=Lane.BULK)]
    asked = [quota_wish(), quota_wish(usecase_name=USECASE, priority=Lane.BULK)]
    updates = enqueue_target_updates(rows, lane=Lane.INTERACTIVE, runtime=runtime)
    quotas = enqueue_quota_recalculations(asked, lane=Lane.INTERACTIVE, runtime=runtime)
    for receipt in (updates, quotas):
        assert batch(store, receipt.batch_id).lane == "interactive"
        assert [job(store, one).lane for one in jobs_of(receipt)] == ["interactive", "bulk"]


@on_both
@pytest.mark.parametrize(
    ("hours", "newest"),
    [((None, None, None), 3), ((1, 2, 3), 3), ((3, 2, 1), 1), ((1, 3, 2), 2), ((2, 2, 1), 2)],
    ids=["the last", "in order", "backwards", "mixed", "of two equals the later"],
)
def test_of_several_wishes_for_one_target_in_one_batch_only_the_newest_is_sent(
    store: Database, runtime: Runtime, hours: tuple[int | None, ...], newest: int
) -> None:
    as_of = [None if hour is None else NOON + timedelta(hours=hour) for hour in hours]
    rows = [wish(1, row, as_of=at) for row, at in enumerate(as_of, start=1)]
    receipt = enqueue_target_updates(rows, runtime=runtime)
    assert [row.row for row in receipt.row_fates if row.fate is Fate.QUEUED] == [newest]
    assert open_jobs(store) == [job_id(1, newest)]
    assert sorted(states(store, jobs_of(receipt))) == [JobState.PENDING, JobState.SUPERSEDED, JobState.SUPERSEDED]
    assert_adds_up(store)


@on_both
def test_an_older_wish_never_replaces_a_newer_one_of_an_earlier_batch(store: Database, runtime: Runtime) -> None:
    newer = jobs_of(enqueue_target_updates([wish(1, 20, as_of=NOON)], runtime=runtime))
    older = enqueue_target_updates([wish(1, 10, as_of=NOON - timedelta(hours=1))], runtime=runtime)
    assert fates(older) == [Fate.SUPERSEDED]
    assert open_jobs(store) == newer
    assert batch(store, older.batch_id).completed_at is not None


def test_the_same_request_key_is_accepted_once_and_names_the_first_job(store: Database, runtime: Runtime) -> None:
    keyed = wish(1, request_key="hr-1", as_of=utc_now() - timedelta(hours=1))
    first = enqueue_target_updates([keyed], runtime=runtime)
    again = enqueue_target_updates([keyed, keyed.model_copy(update={"target": 60})], runtime=runtime)
    assert fates(again) == [Fate.REPEATED, Fate.REFUSED]
    assert again.row_fates[0].job_id == jobs_of(first)[0]
    assert again.row_fates[1].field == "requestKey"
    assert open_jobs(store) == jobs_of(first)


UNREADY = """
from worker.producer import DatabaseNotReady, enqueue_target_updates

for _ in range(2):
    try:
        enqueue_target_updates([])
    except DatabaseNotReady as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "the database has no tables yet: run `coachsync db upgrade` (or `coachsync up`)"),
        ("postgresql+psycopg://127.0.0.1:1/none", "connection failed"),
    ],
    ids=["no tables", "nobody there"],
)
def test_a_database_that_is_not_ready_is_told_in_one_line_before_anything_is_done(
    tmp_path: Path, url: str, told: str
) -> None:
    settings = {"COACHSYNC_HOME": str(tmp_path), "COACHSYNC_API_URL": "http://127.0.0.1:1"}
    environ = settings | ({"COACHSYNC_DATABASE_URL": url} if url else {})
    asking = subprocess.run(
        [sys.executable, "-c", UNREADY],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (asking.returncode, asking.stderr) == (0, "")
    first, again = asking.stdout.splitlines()
    assert first == again
    assert told in first


FORKS = """
import os, sys
from tests.integration.store_rig import wish
from worker.producer import enqueue_target_updates

enqueue_target_updates([wish(0)])
closed, ends_with_parent = os.pipe()
if os.fork():
    for number in range(1, 5):
        enqueue_target_updates([wish(number)])
    sys.exit()
os.close(ends_with_parent)
for number in range(5, 9):
    enqueue_target_updates([wish(number)])
os.read(closed, 1)
for number in range(9, 11):
    enqueue_target_updates([wish(number)])
print("done", flush=True)
os._exit(0)
"""


def test_parent_and_child_of_a_fork_both_enqueue_and_what_they_were_told_is_committed_stays_when_the_other_ends(
    database_url: str, tmp_path: Path
) -> None:
    store = Database(database_url)
    schema.upgrade(store)
    store.close()  # an open connection of ours would keep SQLite from tidying up when the parent ends
    environ = command_on(store, tmp_path).environ
    forking = subprocess.run(
        [sys.executable, "-c", FORKS],
        env={**environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (forking.returncode, forking.stdout, forking.stderr) == (0, "done\n", "")
    with closing(store):
        assert {one.resource for one in all_jobs(store).values()} == {name_of(number) for number in range(11)}
