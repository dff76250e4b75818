"""What the gateway tells is what the commands print with `--json`; long lists come in pages; a token sees its own."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from schemas.ids import format_job_id
from schemas.jobs import JobState
from tests.integration.cli_rig import Command
from tests.integration.console_rig import fill
from tests.integration.gateway_rig import Gateway, problem
from tests.integration.store_rig import (
    TEMPLATE,
    USECASE,
    applied,
    job_of,
    name_of,
    offer,
    take_one,
    wish,
    write,
)
from tests.services.stores import on_both, on_sqlite
from worker.core.access import Scope
from worker.store.engine import Database

pytestmark = on_sqlite


@pytest.fixture
def gateway(store: Database, gateways: Callable[[Database], Gateway]) -> Gateway:
    return gateways(store)


@pytest.fixture
def reader(gateway: Gateway) -> httpx.Client:
    return gateway.client(Scope.READ)


def pages(reader: httpx.Client, path: str, member: str, **params: Any) -> list[list[Any]]:
    found, token = [], ""
    while True:
        said = reader.get(path, params={**params, "pageToken": token}).json()
        found.append(said[member])
        token = said["nextPageToken"]
        if not token:
            return found


def without_pace(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("perSecond", "at")}


@on_both
def test_a_job_a_batch_and_a_target_are_told_as_the_commands_tell_them(
    store: Database, reader: httpx.Client, coachsync: Command
) -> None:
    job = job_of(store, wish(1, 60))
    write(store, applied(take_one(store, job)))
    assert reader.get(f"/v1/jobs/{format_job_id(job)}").json() == coachsync.json("jobs", "show", format_job_id(job))
    assert reader.get(f"/v1/targets/{name_of(1)}").json() == coachsync.json("targets", "show", name_of(1))
    told = coachsync.json("batches", "show", "1")
    assert without_pace(reader.get("/v1/batches/1").json()).items() <= told.items()
    assert without_pace(reader.get("/v1/explain/1").json()) == without_pace(coachsync.json("explain", "1"))
    assert reader.get(f"/v1/explain/{name_of(1)}").json() == coachsync.json("explain", name_of(1))
    assert reader.get("/v1/explain/1-1").json() == coachsync.json("explain", "1-1")


@on_both
def test_jobs_come_in_pages_newest_first_and_each_once(store: Database, reader: httpx.Client) -> None:
    offer(store, *(wish(number) for number in range(7)))
    found = pages(reader, "/v1/jobs", "jobs", pageSize=3)
    assert [len(page) for page in found] == [3, 3, 1]
    assert [job["job"] for page in found for job in page] == [f"1-{row}" for row in range(7, 0, -1)]
    filtered = pages(reader, "/v1/jobs", "jobs", pageSize=3, state=JobState.PENDING, resource=name_of(2))
    assert [[job["resource"] for job in page] for page in filtered] == [[name_of(2)]]


@on_both
def test_batches_and_their_rejections_come_in_pages(store: Database, reader: httpx.Client) -> None:
    for number in range(3):
        offer(store, None, wish(number), None, None)
    assert [[batch["batch"] for batch in page] for page in pages(reader, "/v1/batches", "batches", pageSize=2)] == [
        [3, 2],
        [1],
    ]
    rejections = pages(reader, "/v1/batches/2/rejections", "rejections", pageSize=2)
    assert [[one["row"] for one in page] for page in rejections] == [[1, 3], [4]]


def test_a_targets_history_is_its_wishes(store: Database, reader: httpx.Client) -> None:
    for value in (10, 20, 30):
        offer(store, wish(1, value), wish(2, value))
    found = pages(reader, f"/v1/targets/{name_of(1)}/history", "jobs", pageSize=2)
    assert [[job["wish"]["target"] for job in page] for page in found] == [[30, 20], [10]]


@on_both
def test_quotas_and_their_history(store: Database, reader: httpx.Client, coachsync: Command) -> None:
    for number, quota in enumerate((4, 5, 6)):
        answered(store, "a", quota + number)
        answered(store, "b", quota)
    found = pages(reader, "/v1/quotas", "quotas", pageSize=1)
    assert [page[0] for page in found] == coachsync.json("quotas", "list")
    resource = found[0][0]["resource"]
    history = pages(reader, f"/v1/quotas/{quote(resource)}/history", "answers", pageSize=2)
    assert [one for page in history for one in page] == coachsync.json("quotas", "history", resource)


def answered(store: Database, usecase: str, quota: int) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415

    from worker.store.tables import quota_answers  # noqa: PLC0415

    template = f"{TEMPLATE}@1"
    with store.write() as session:
        session.execute(
            quota_answers.insert().values(
                resource=f"{template}/quota;usecase={usecase}",
                scorecard_template_name=template,
                usecase_name=USECASE,
                total_agent_quota=quota,
                total_active_agents_count=3,
                answered_at=datetime(2026, 1, 1, tzinfo=UTC),
                job_id=1,
            )
        )


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/17-203",
        "/v1/batches/17",
        "/v1/batches/17/rejections",
        "/v1/batches/17/events",
        f"/v1/targets/{name_of(1)}",
        f"/v1/targets/{name_of(1)}/history",
        "/v1/quotas/customers/acme/history",
        "/v1/explain/17-203",
        "/v1/explain/nothing",
    ],
)
def test_what_is_not_known_is_not_found(path: str, reader: httpx.Client) -> None:
    problem(reader.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/jobs/17", "bad-parameter"),
        ("/v1/batches/x", "bad-parameter"),
        ("/v1/jobs?state=lost", "bad-parameter"),
        ("/v1/jobs?state=pending&errorCode=x", "bad-parameter"),
        ("/v1/jobs?pageSize=-1", "bad-parameter"),
        ("/v1/explain/a%00b", "bad-parameter"),
        ("/v1/jobs?resource=a%00b", "bad-parameter"),
        ("/v1/jobs?state=pending&state=failed", "bad-parameter"),
        ("/v1/jobs?pageToken=x", "bad-page-token"),
        ("/v1/jobs?pageToken=%F0%9F", "bad-page-token"),
        ("/v1/jobs?pageToken=WzEsMV0=", "bad-page-token"),
    ],
)
def test_what_cannot_be_meant_is_refused(path: str, name: str, reader: httpx.Client) -> None:
    problem(reader.get(path), 400, name)


def test_a_page_token_goes_with_its_filters_alone(store: Database, reader: httpx.Client) -> None:
    offer(store, wish(1), wish(2))
    token = reader.get("/v1/jobs", params={"pageSize": 1}).json()["nextPageToken"]
    problem(reader.get("/v1/jobs", params={"pageToken": token, "lane": "bulk"}), 400, "bad-page-token")
    problem(reader.get("/v1/batches", params={"pageToken": token}), 400, "bad-page-token")


@pytest.mark.parametrize("last", ["true", r'"\ud800"', "[" * 1_000])
@on_both
def test_a_page_token_that_somebody_made_up_is_refused(store: Database, last: str, reader: httpx.Client) -> None:
    offer(store, wish(1), wish(2))
    given = reader.get("/v1/jobs", params={"pageSize": 1}).json()["nextPageToken"]
    named, _ = json.loads(base64.urlsafe_b64decode(given))
    made_up = base64.urlsafe_b64encode(f'["{named}", {last}]'.encode()).decode()
    problem(reader.get("/v1/jobs", params={"pageToken": made_up}), 400, "bad-page-token")


def test_who_may_read_some_customers_sees_nothing_of_others(store: Database, gateway: Gateway) -> None:
    job = job_of(store, wish(1))
    write(store, applied(take_one(store, job)))
    theirs = gateway.client(Scope.READ, Scope.TARGETS_WRITE, customers=("globex",))
    for path in (
        f"/v1/jobs/{format_job_id(job)}",
        "/v1/batches/1",
        "/v1/batches/1/rejections",
        "/v1/batches/1/events",
        f"/v1/targets/{name_of(1)}",
        f"/v1/targets/{name_of(1)}/history",
        f"/v1/explain/{format_job_id(job)}",
        "/v1/explain/1",
        f"/v1/explain/{name_of(1)}",
    ):
        problem(theirs.get(path), 404, "not-found")
    assert theirs.get("/v1/jobs").json() == {"jobs": [], "nextPageToken": ""}
    assert theirs.get("/v1/batches").json()["batches"] == []


def test_who_may_read_some_customers_is_not_shown_whom_else_it_was_told(store: Database, gateway: Gateway) -> None:
    filled = fill(store)
    everybody, theirs = gateway.client(Scope.READ), gateway.client(Scope.READ, customers=("acme",))
    for what in (format_job_id(filled.failed), filled.message):
        assert "ep_crm" in everybody.get(f"/v1/explain/{what}").text
        shown = theirs.get(f"/v1/explain/{what}")
        assert shown.status_code == 200
        assert "ep_crm" not in shown.text
    assert theirs.get(f"/v1/explain/{format_job_id(filled.failed)}").json()["acceptedWith"] is None


def test_who_may_write_for_some_customers_sees_the_batches_that_they_made(gateway: Gateway) -> None:
    theirs = gateway.client(Scope.READ, Scope.TARGETS_WRITE, customers=("acme",))
    row = {"name": name_of(1), "scorecardTemplateName": TEMPLATE, "usecaseName": USECASE, "target": 50}
    location = theirs.post("/v1/target-updates", json=[row]).headers["location"]
    assert theirs.get(location).json()["accepted"] == 1
    assert [batch["batch"] for batch in theirs.get("/v1/batches").json()["batches"]] == [1]
    others = gateway.client(Scope.READ, customers=("acme", "globex"))
    problem(others.get(location), 404, "not-found")


def test_writing_is_no_reading(gateway: Gateway) -> None:
    problem(gateway.client(Scope.TARGETS_WRITE).get("/v1/jobs"), 403, "insufficient-scope")


def test_a_misspelt_filter_is_refused_by_its_name(reader: httpx.Client) -> None:
    problem(reader.get("/v1/jobs", params={"stat": "failed"}), 400, "bad-parameter")
    assert reader.get("/v1/jobs", params={"state": "failed", "pageSize": 5}).status_code == 200
