import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from api_adapter.sandbox.errors import CannotListenError, FaultScriptError, LimitError, NotLoopbackError
from api_adapter.sandbox.options import SandboxOptions
from api_adapter.sandbox.server import running_sandbox
from tests.contract.sandbox_caller import PROFILE, TARGET, WISH, Caller, calling


@pytest.fixture(scope="module")
def running() -> Iterator[Caller]:
    with calling() as caller:
        yield caller


@pytest.fixture
def api(running: Caller) -> Caller:
    assert running.http.post("/_sandbox/reset").status_code == 200
    return running


def test_each_effect_tells_old_and_new_key_and_request(api: Caller) -> None:
    api.update(headers={"Idempotency-Key": '"k"', "X-Request-Id": "r-1"})
    api.update(fields=WISH | {"target": "10"})
    api.update(f"{PROFILE}/targets/t-00001")
    first, second = api.http.get("/_sandbox/effects", params={"name": TARGET}).json()["effects"]
    assert (first["sequence"], second["sequence"]) == (1, 2)
    assert (first["idempotency_key"], first["request_id"], first["replays"]) == ('"k"', "r-1", 0)
    assert first["new"] == second["old"]
    assert (first["old"]["target"], first["new"]["target"], second["new"]["target"]) == (66, 82.5, 10)
    assert first["new"]["updateTime"] == first["time"]
    assert len(api.http.get("/_sandbox/effects").json()["effects"]) == 3


def test_creation_and_deletion_are_effects_from_and_to_nothing(api: Caller) -> None:
    name = api.http.post(f"/v1/{PROFILE}/targets", json=WISH).json()["target"]["name"]
    api.http.delete(f"/v1/{name}")
    created, deleted = api.http.get("/_sandbox/effects").json()["effects"]
    assert (created["old"], deleted["new"]) == (None, None)
    assert created["new"] == deleted["old"]


def test_each_request_tells_when_it_arrived_and_what_it_got(api: Caller) -> None:
    api.get()
    api.http.put(f"/v1/{TARGET}")
    got, put = api.http.get("/_sandbox/requests").json()["requests"]
    assert (got["operation"], got["name"], got["status"]) == ("get_target", TARGET, 200)
    assert (put["operation"], put["status"]) == (None, 405)
    assert got["at"] < put["at"]
    assert abs(datetime.fromisoformat(got["time"]) - datetime.now(UTC)).total_seconds() < 60  # noqa: TID251 - it is the real clock's time that is checked
    assert api.ledger()["by_operation"] == {"get_target": {"200": 1}, "none": {"405": 1}}


def test_targets_are_seeded_in_bulk_with_their_times(api: Caller) -> None:
    bodies = [
        WISH
        | {
            "name": f"{PROFILE}/targets/s-{number}",
            "target": number,
            "createTime": "2023-01-01T00:00:00Z",
            "updateTime": "2024-01-01T00:00:00+01:00",
        }
        for number in range(3)
    ]
    assert api.http.post("/_sandbox/targets", json=bodies).json() == {"added": 3}
    target = api.get(f"{PROFILE}/targets/s-2")
    assert (target["target"], target["createTime"]) == (2, "2023-01-01T00:00:00Z")
    assert target["updateTime"] == "2023-12-31T23:00:00Z"
    assert api.ledger()["effects"] == 0, "a seed is no effect"


def test_sample_targets_are_seeded_by_count(api: Caller) -> None:
    assert api.http.post("/_sandbox/targets", json={"count": 40}).json() == {"added": 20}
    assert api.http.post("/_sandbox/targets", json={"count": 5, "customer": "initech"}).json() == {"added": 5}
    assert api.get("customers/initech/profiles/support/targets/t-00005")["target"] == 65


@pytest.mark.parametrize(
    ("method", "noun", "body", "complaint"),
    [
        ("POST", "targets", [WISH], "target 1: '' is no target name"),
        ("POST", "targets", [7], "target 1: "),
        ("POST", "targets", [WISH | {"name": TARGET, "target": 101}], "target 1: target: 101 is outside"),
        ("POST", "targets", [WISH | {"name": TARGET, "updateTime": "old"}], "target 1: updateTime: 'old' is no RFC"),
        ("POST", "targets", {"count": -1}, "count: "),
        ("POST", "targets", {"count": 1, "customers": "x"}, "customers: "),
        ("POST", "limit", {"rate_limit": "fast"}, "rate limit 'fast' is not like"),
        ("POST", "limit", {}, "rate_limit: Field required"),
        ("POST", "roster", {"profile": "acme", "agents": []}, "profile: "),
        ("POST", "roster", {"profile": PROFILE, "agents": [{"group": "x"}]}, "agents.0.user: Field required"),
        ("PUT", "settings", {"idempotency": "maybe"}, "idempotency: "),
        ("PUT", "settings", {"latency": -1}, "latency: "),
        ("PUT", "settings", {"colour": "red"}, "colour: "),
        ("GET", "ledger?window=soon", None, "window: 'soon' is no length"),
        ("GET", "ledger?window=0", None, "window: '0' is no length"),
        ("GET", "ledger?window=inf", None, "window: 'inf' is no length"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    api: Caller, method: str, noun: str, body: Any, complaint: str
) -> None:
    answer = api.http.request(method, f"/_sandbox/{noun}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(complaint), answer.text
    assert "\n" not in answer.json()["error"]


def test_a_body_that_is_no_json_is_said_so(api: Caller) -> None:
    answer = api.http.put("/_sandbox/settings", content=b"{")
    assert (answer.status_code, answer.json()["error"][:20]) == (400, "the body is no JSON:")


def test_an_unknown_admin_operation_is_told_the_known_ones(api: Caller) -> None:
    answer = api.http.get("/_sandbox/nothing")
    assert answer.status_code == 404
    assert "GET /_sandbox/ledger" in answer.json()["error"]


def test_settings_change_what_is_given_and_a_reset_takes_it_back(api: Caller) -> None:
    answer = api.http.put("/_sandbox/settings", json={"token": "tea", "latency": 0.001, "omit_defaults": True})
    assert answer.json() == {"idempotency": "off", "token_required": True, "latency": 0.001, "omit_defaults": True}
    assert api.update().status_code == 401
    api.http.post("/_sandbox/reset")
    assert api.update().status_code == 200
    assert api.get()["target"] == 82.5


def test_admin_requests_are_no_requests_of_the_api(api: Caller) -> None:
    api.script({"kind": "status", "status": 503}, match={"path": "*"})
    assert api.http.put("/_sandbox/settings", json={}).status_code == 200
    assert api.ledger()["requests"] == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])  # noqa: S104 - it is refused
def test_an_address_that_others_can_reach_is_refused(host: str) -> None:
    async def start() -> None:
        async with running_sandbox(host=host):
            pytest.fail("it listens")

    with pytest.raises(NotLoopbackError, match="this machine only"):
        asyncio.run(start())


def test_a_port_that_is_taken_is_said_in_one_line(api: Caller) -> None:
    taken = int(api.sandbox.url.rsplit(":", 1)[1])
    complaint = rf"^the sandbox cannot listen on 127.0.0.1, port {taken}: [^\n]+$"
    with pytest.raises(CannotListenError, match=complaint), calling(port=taken):
        pytest.fail("it listens")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (SandboxOptions(faults="["), FaultScriptError),
        (SandboxOptions(rate_limit="fast"), LimitError),
    ],
)
def test_options_that_cannot_be_read_stop_the_start(options: SandboxOptions, error: type[Exception]) -> None:
    with pytest.raises(error), calling(options):
        pytest.fail("it listens")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly_on_a_signal(number: signal.Signals) -> None:
    script = (
        "from api_adapter.sandbox.options import SandboxOptions\n"
        "from api_adapter.sandbox.server import run\n"
        "run('127.0.0.1', 0, SandboxOptions(targets=1), on_ready=lambda url: print(url, flush=True))\n"
        "print('stopped', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        assert run.stdout.readline().startswith("http://127.0.0.1:")
        os.kill(run.pid, number)
        out, err = run.communicate(timeout=90)
    assert (run.returncode, out, err) == (0, "stopped\n", "")
