from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_adapter.sandbox.options import SandboxOptions
from tests.contract.sandbox_caller import IDENTITY, PROFILE, TARGET, WISH, Caller, calling

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def running() -> Iterator[Caller]:
    with calling() as caller:
        yield caller


@pytest.fixture
def api(running: Caller) -> Caller:
    assert running.http.post("/_sandbox/reset").status_code == 200
    return running


def test_an_update_answers_the_whole_target_and_is_there_afterwards(api: Caller) -> None:
    answer = api.update(fields=WISH | {"qaScore": "71.5"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    target = answer.json()["target"]
    assert list(target) == [
        "name",
        "scorecardTemplateName",
        "criterionOrChapterId",
        "target",
        "usecaseName",
        "coachingPlanName",
        "createTime",
        "updateTime",
        "qaScore",
    ]
    assert {field: target[field] for field in IDENTITY} == IDENTITY
    assert (target["name"], target["target"], target["qaScore"]) == (TARGET, 82.5, 71.5)
    assert api.get() == target


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("0", "0"),
        ("100", "100"),
        ("0.1", "0.1"),
        ("33.333333333", "33.333332"),
        ("1e1", "10"),
        ("99.99999", "99.99999"),
    ],
)
def test_a_value_is_kept_as_a_32_bit_float(api: Caller, sent: str, kept: str) -> None:
    assert f'"target":{kept},' in api.update(fields=WISH | {"target": sent}).text


@pytest.mark.parametrize(
    "query",
    [
        "",
        "target.target=1&target.usecaseName={usecase}",
        "target.scorecardTemplateName={template}&target.usecaseName={usecase}",
        "target.scorecardTemplateName={template}&target.target=1",
        "target.scorecardTemplateName=&target.target=1&target.usecaseName={usecase}",
        "{fields}&target.target=",
        "{fields}&target.target=ninety",
        "{fields}&target.target=1_0",
        "{fields}&target.target=1,5",
        "{fields}&target.target=-0.1",
        "{fields}&target.target=100.1",
        "{fields}&target.target=NaN",
        "{fields}&target.target=Infinity",
        "{fields}&target.target=1e39",
        "{fields}&target.target=1&target.target=1",
        "{fields}&target.target=1&target.usecaseName={usecase}",
        "{fields}&target.target=1&target.qaScore=high",
        "{fields}&target.target=1&target.createTime=yesterday",
        "{fields}&target.target=1&target.updateTime=2026-01-01T00:00:00",
        "{fields}&target.target=1&target.coachingPlanName=plan-003",
        "{fields}&target.target=%zz",
        "{fields}&target.target=1&target.criterionOrChapterId=50%zz",
        "{fields}&target.target=%D9%A3",
        "{fields}&target.target=1&target.criterionOrChapterId=%ff",
    ],
)
def test_a_query_that_is_incomplete_or_unreadable_is_invalid_and_changes_nothing(api: Caller, query: str) -> None:
    template, usecase = IDENTITY["scorecardTemplateName"], IDENTITY["usecaseName"]
    fields = f"target.scorecardTemplateName={template}&target.usecaseName={usecase}"
    before = api.get()
    answer = api.http.patch(f"/v1/{TARGET}?" + query.format(template=template, usecase=usecase, fields=fields))
    assert answer.status_code == 400
    assert answer.json()["code"] == 3
    assert set(answer.json()) == {"code", "message", "details"}
    assert api.get() == before
    assert api.ledger()["effects"] == 0


def test_unknown_parameters_are_ignored_without_a_word(api: Caller) -> None:
    answer = api.http.patch(
        f"/v1/{TARGET}", params={f"target.{key}": value for key, value in WISH.items()} | {"x": "1"}
    )
    assert answer.status_code == 200
    assert api.update(fields=WISH | {"coachingPlan": "typo", "targett": "3"}).json()["target"]["target"] == 82.5


def test_what_is_omitted_is_cleared(api: Caller) -> None:
    assert api.get()["coachingPlanName"]
    bare = {field: WISH[field] for field in ("scorecardTemplateName", "usecaseName", "target")}
    target = api.update(fields=bare).json()["target"]
    assert (target["coachingPlanName"], target["criterionOrChapterId"]) == ("", "")
    assert target["qaScore"] == 56, "a measurement is not cleared"


def test_times_are_the_servers_whatever_was_sent() -> None:
    now = START
    with calling(clock=lambda: now) as api:
        created = api.get()["createTime"]
        fields = WISH | {"createTime": "2020-01-01T00:00:00Z", "updateTime": "2020-01-01T00:00:00+01:00"}
        first = api.update(fields=fields).json()["target"]
        now = START + timedelta(milliseconds=1500)
        second = api.update(fields=fields).json()["target"]
    assert created == first["createTime"] == second["createTime"] == "2025-01-06T08:00:00Z"
    assert (first["updateTime"], second["updateTime"]) == ("2026-03-01T12:00:00Z", "2026-03-01T12:00:01.500Z")


def test_an_encoded_path_is_the_same_path(api: Caller) -> None:
    assert api.http.get(f"/v1/{TARGET.replace('-', '%2D')}").json()["target"]["name"] == TARGET


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"/v1/{PROFILE}/targets/nobody", 404, 5),
        ("DELETE", f"/v1/{PROFILE}/targets/nobody", 404, 5),
        ("PATCH", f"/v1/{PROFILE}/targets/nobody", 404, 5),
        ("GET", f"/v1/{PROFILE}/nothing", 404, 5),
        ("GET", "/", 404, 5),
        ("PUT", f"/v1/{TARGET}", 405, 2),
        ("PATCH", f"/v1/{PROFILE}/targets", 405, 2),
        ("GET", f"/v1/{PROFILE}/scorecardTemplates/empathy@1:retrieveTotalAgentQuota", 405, 2),
    ],
)
def test_unknown_targets_and_paths_are_404_and_wrong_methods_405(
    api: Caller, method: str, path: str, status: int, code: int
) -> None:
    query = {f"target.{field}": value for field, value in WISH.items()} if method == "PATCH" else {}
    answer = api.http.request(method, path, params=query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_405_has_the_odd_body_seen_in_the_wild_and_says_what_is_allowed(api: Caller) -> None:
    answer = api.http.put(f"/v1/{TARGET}")
    assert answer.json() | {"message": ""} == {"code": 2, "httpStatus": 500, "message": "", "status": "UNKNOWN"}
    assert answer.headers["Allow"] == "PATCH, GET, DELETE"


def test_a_deleted_target_is_gone(api: Caller) -> None:
    answer = api.http.delete(f"/v1/{TARGET}")
    assert (answer.status_code, answer.json()) == (200, {})
    assert api.http.get(f"/v1/{TARGET}").status_code == 404
    assert api.http.delete(f"/v1/{TARGET}").status_code == 404


@pytest.mark.parametrize("name", [f"{PROFILE}/targets/mine", ""])
def test_a_created_target_is_there_under_its_name_or_a_new_one(api: Caller, name: str) -> None:
    answer = api.http.post(f"/v1/{PROFILE}/targets", json=WISH | {"name": name, "target": 12.5, "qaScore": None})
    assert answer.status_code == 200
    target = answer.json()["target"]
    assert target["name"] == (name or f"{PROFILE}/targets/new-00001")
    assert api.get(target["name"]) == target
    assert target["target"] == 12.5


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (WISH | {"name": TARGET}, 409),
        (WISH | {"name": "customers/globex/profiles/support/targets/t-00001"}, 400),
        (WISH | {"name": f"{PROFILE}/targets/not an id"}, 400),
        (WISH | {"target": 101}, 400),
        (WISH | {"target": True}, 400),
        (WISH | {"target": None}, 400),
        (WISH | {"usecaseName": 7}, 400),
        (WISH | {"createTime": 7}, 400),
        ([], 400),
        ({}, 400),
    ],
)
def test_a_target_that_cannot_be_created_is_refused(api: Caller, body: Any, status: int) -> None:
    assert api.http.post(f"/v1/{PROFILE}/targets", json=body).status_code == status
    assert api.ledger()["effects"] == 0


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_invalid(api: Caller, body: bytes) -> None:
    assert api.http.post(f"/v1/{PROFILE}/targets", content=body).status_code == 400


def _list(api: Caller, **query: Any) -> dict[str, Any]:
    answer = api.http.get(f"/v1/{PROFILE}/targets", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def test_pages_hold_every_target_once_though_some_go_in_between(api: Caller) -> None:
    names, token = [], ""
    while True:
        page = _list(api, pageSize=7, pageToken=token)
        names += [target["name"] for target in page["targets"]]
        token = page["nextPageToken"]
        if not token:
            break
        api.http.delete(f"/v1/{names[-1]}")
    assert names == [f"{PROFILE}/targets/t-{number:05d}" for number in range(1, 31)]


def test_a_list_is_of_one_profile_and_an_unknown_one_is_empty(api: Caller) -> None:
    assert all(target["name"].startswith(PROFILE) for target in _list(api)["targets"])
    assert api.http.get("/v1/customers/nobody/profiles/support/targets").json() == {"targets": [], "nextPageToken": ""}


@pytest.mark.parametrize(
    "query", ["pageSize=-1", "pageSize=x", "pageSize=1&pageSize=1", "pageToken=x", "pageToken=%C3"]
)
def test_a_page_that_cannot_be_read_is_invalid(api: Caller, query: str) -> None:
    assert api.http.get(f"/v1/{PROFILE}/targets?{query}").status_code == 400


def test_a_page_has_at_most_a_thousand_targets() -> None:
    with calling(SandboxOptions(targets=1001)) as api:
        assert [len(_list(api, pageSize=size)["targets"]) for size in (0, 5000)] == [100, 1000]


def test_a_gateway_that_omits_defaults_can_be_had() -> None:
    with calling(SandboxOptions(targets=3, omit_defaults=True)) as api:
        bare = {field: WISH[field] for field in ("scorecardTemplateName", "usecaseName")} | {"target": "0"}
        target = api.update(f"{PROFILE}/targets/t-00001", bare).json()["target"]
    assert "target" not in target
    assert "coachingPlanName" not in target
    assert target["usecaseName"] == bare["usecaseName"]
