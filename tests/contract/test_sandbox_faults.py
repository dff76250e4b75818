from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import httpx
import pytest

from api_adapter.sandbox.options import SandboxOptions
from tests.contract.sandbox_caller import PROFILE, TARGET, WISH, Caller, calling


@pytest.fixture(scope="module")
def running() -> Iterator[Caller]:
    with calling() as caller:
        yield caller


@pytest.fixture
def api(running: Caller) -> Caller:
    assert running.http.post("/_sandbox/reset").status_code == 200
    return running


@pytest.mark.parametrize(("kind", "effects"), [("cut_before", 0), ("cut_after", 1)])
def test_a_cut_gives_no_answer_before_or_after_the_effect(api: Caller, kind: str, effects: int) -> None:
    api.script({"kind": kind}, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        api.update()
    assert api.ledger()["effects"] == effects
    assert api.get()["target"] == (82.5 if effects else 66)
    assert api.ledger()["by_operation"]["update_target"] == {"unanswered": 1}


@pytest.mark.parametrize("written", [False, True])
def test_a_status_hides_whether_the_effect_is_written(api: Caller, *, written: bool) -> None:
    api.script({"kind": "status", "status": 504, "written": written}, times=1)
    answer = api.update()
    assert (answer.status_code, answer.json()["code"]) == (504, 4)
    assert api.ledger()["effects"] == int(written)


@pytest.mark.parametrize(
    ("fault", "status", "text", "headers"),
    [
        ({"kind": "status", "status": 503, "retry_after": "2"}, 503, '"code":14', {"Retry-After": "2"}),
        ({"kind": "status", "status": 429, "headers": {"X-RateLimit-Reset": "9"}}, 429, "", {"X-RateLimit-Reset": "9"}),
        ({"kind": "status", "status": 400, "body": {"error": "odd"}}, 400, '{"error": "odd"}', {}),
        ({"kind": "status", "status": 500, "body": "oops"}, 500, "oops", {}),
        ({"kind": "status", "status": 599}, 599, "status 599", {}),
        ({"kind": "html"}, 502, "<html>", {"Content-Type": "text/html"}),
        ({"kind": "html", "status": 200, "body": "<p>hello"}, 200, "<p>hello", {"Content-Type": "text/html"}),
        ({"kind": "garbage"}, 200, '{"target": {', {"Content-Type": "application/json"}),
        ({"kind": "status", "status": 503, "headers": {"Content-Type": "x/y"}}, 503, "", {"Content-Type": "x/y"}),
    ],
)
def test_an_answer_can_be_scripted_to_the_letter(
    api: Caller, fault: dict[str, Any], status: int, text: str, headers: dict[str, str]
) -> None:
    api.script(fault)
    answer = api.update()
    assert answer.status_code == status
    assert text in answer.text
    assert {key: answer.headers[key] for key in headers} == headers


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (None, {"target": 81.5}),
        ({"coachingPlanName": ""}, {"coachingPlanName": ""}),
        ({"name": f"{PROFILE}/targets/t-00009"}, {"name": f"{PROFILE}/targets/t-00009"}),
    ],
)
def test_a_wrong_echo_shows_what_was_not_written(api: Caller, body: Any, shown: dict[str, Any]) -> None:
    api.script({"kind": "wrong_echo", "body": body}, times=1)
    target = api.update().json()["target"]
    assert target == api.get() | shown != api.get()


@pytest.mark.parametrize("value", [0, 0.5, 1, 50, 99.5, 100])
def test_a_wrong_echo_is_another_value_within_bounds_whatever_was_asked(api: Caller, value: float) -> None:
    api.script({"kind": "wrong_echo"})
    shown = api.update(fields=WISH | {"target": str(value)}).json()["target"]["target"]
    assert shown != value
    assert 0 <= shown <= 100


def test_a_wrong_echo_of_a_quota_is_another_number(api: Caller) -> None:
    path = f"/v1/{PROFILE}/scorecardTemplates/empathy@1:retrieveTotalAgentQuota"
    right = api.http.post(path, json={}).json()
    api.script({"kind": "wrong_echo"})
    assert api.http.post(path, json={}).json() == {key: count + 1 for key, count in right.items()}


def test_a_wrong_echo_of_a_refusal_is_the_refusal(api: Caller) -> None:
    honest = api.update(f"{PROFILE}/targets/nobody").content
    api.script({"kind": "wrong_echo"})
    answer = api.update(f"{PROFILE}/targets/nobody")
    assert (answer.status_code, answer.content) == (404, honest)


def test_an_empty_page_in_the_middle_loses_nothing(api: Caller) -> None:
    api.script({"kind": "empty_page"}, match={"nth": [1, 3]})
    names: list[str] = []
    sizes, token = [], ""
    while True:
        page = api.http.get(f"/v1/{PROFILE}/targets", params={"pageSize": 20, "pageToken": token}).json()
        sizes.append(len(page["targets"]))
        names += [target["name"] for target in page["targets"]]
        token = page["nextPageToken"]
        if not token:
            break
    assert sizes == [0, 20, 0, 10]
    assert len(set(names)) == 30


def test_an_empty_page_concerns_lists_only(api: Caller) -> None:
    api.script({"kind": "empty_page"})
    assert api.update().json()["target"]["target"] == 82.5


def test_omitted_defaults_are_absent(api: Caller) -> None:
    api.script({"kind": "omit_defaults"})
    assert "target" not in api.update(fields=WISH | {"target": "0"}).json()["target"]


@pytest.mark.parametrize("kind", ["delay", "slow_body"])
def test_a_slow_answer_is_whole_in_the_end(api: Caller, kind: str) -> None:
    api.script({"kind": kind, "delay": 0.15})
    start = monotonic()
    assert api.update().json()["target"]["target"] == 82.5
    assert monotonic() - start >= 0.15


def test_who_gives_up_waiting_is_written_all_the_same(api: Caller) -> None:
    api.script({"kind": "delay", "delay": 0.2}, times=1)
    with pytest.raises(httpx.ReadTimeout):
        api.http.patch(f"/v1/{TARGET}", params={f"target.{k}": v for k, v in WISH.items()}, timeout=0.05)
    deadline = monotonic() + 5
    while not api.ledger()["effects"] and monotonic() < deadline:
        pass
    assert api.get()["target"] == 82.5


def test_a_script_from_the_start_is_in_force_and_reset_arms_it_anew() -> None:
    script = [{"times": 1, "fault": {"kind": "status", "status": 503}}]
    with calling(SandboxOptions(targets=10, faults=script)) as api:
        for _ in range(2):
            assert [api.update().status_code for _ in range(2)] == [503, 200]
            api.http.post("/_sandbox/reset")


def test_a_wrong_script_is_refused_and_the_old_one_stays(api: Caller) -> None:
    api.script({"kind": "status", "status": 503})
    answer = api.http.post("/_sandbox/faults", json=[{"fault": {"kind": "explode"}}])
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("fault 1: fault.kind:")
    assert api.update().status_code == 503


def test_a_wait_is_announced_by_the_answer_and_who_comes_early_is_counted() -> None:
    fault = {"kind": "status", "status": 429, "retry_after": "60"}
    with calling(SandboxOptions(targets=10)) as api:
        api.script(fault, times=1)
        api.update()
        assert api.update().status_code == 200, "within the grace of 250 ms"
        assert api.ledger()["cooldown_violations"] == 0
        deadline = monotonic() + 5
        while not api.ledger()["cooldown_violations"] and monotonic() < deadline:
            api.get()
        summary = api.ledger()
        assert (summary["cooldowns_announced"], summary["cooldown_violations"]) == (1, 1)
        seen = api.http.get("/_sandbox/requests").json()["requests"]
        assert [request["in_cooldown"] for request in seen].count(True) == 1
        assert seen[-1]["at"] - seen[0]["at"] >= 0.25


def test_faults_of_many_callers_at_once_are_counted_exactly(api: Caller) -> None:
    api.script({"kind": "status", "status": 503}, match={"nth": [1, 2, 3, 5, 8]})
    with ThreadPoolExecutor(4) as callers:
        statuses = list(callers.map(lambda _: api.update().status_code, range(40)))
    assert statuses.count(503) == 5
    assert api.ledger()["faults_fired"] == [5]
