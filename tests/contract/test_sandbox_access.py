"""Who is let in, and how often."""

import base64
from datetime import timedelta
from time import monotonic
from typing import Any

import httpx
import pytest

from api_adapter.sandbox.options import SandboxOptions
from tests.contract.sandbox_caller import Caller, calling

GRANT = {"grant_type": "client_credentials"}


def _basic(client: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _token(api: Caller, headers: dict[str, str], body: Any = GRANT) -> httpx.Response:
    return api.http.post("/v1/oauth/regionalToken", json=body, headers=headers)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer tea", 200),
        ("bearer tea", 200),
        ("ApiKey tea", 200),
        ("Bearer coffee", 401),
        ("Basic tea", 401),
        ("tea", 401),
        ("", 401),
        ("Bearer té".encode(), 401),
    ],
)
def test_only_the_token_is_let_in(authorization: str | bytes, status: int) -> None:
    with calling(SandboxOptions(targets=10, token="tea")) as api:
        answer = api.http.patch(
            "/v1/customers/acme/profiles/support/targets/t-00001", headers=[("Authorization", authorization)]
        )
        assert answer.status_code == (400 if status == 200 else 401)
        if status == 401:
            assert answer.json()["code"] == 16


def test_without_a_token_anyone_is_let_in() -> None:
    with calling() as api:
        assert api.update().status_code == 200
        assert api.update(headers=_bearer("anything")).status_code == 200
        assert _token(api, {}).status_code == 200


def test_client_credentials_get_a_token_that_is_let_in() -> None:
    with calling(SandboxOptions(targets=10, client_id="us", client_secret="s:e")) as api:
        assert api.update().status_code == 401
        assert api.update(headers={"Authorization": "Bearer"}).status_code == 401, "no static token is no empty token"
        issued = _token(api, _basic("us", "s:e")).json()
        assert (issued["expires_in"], issued["token_type"]) == (3600, "Bearer")
        assert api.update(headers=_bearer(issued["access_token"])).status_code == 200
        assert _token(api, _basic("us", "s:e")).json()["access_token"] != issued["access_token"]
        assert api.ledger()["token_renewals"] == 2
        assert api.ledger()["requests"] == 3, "the token endpoint is another server: its requests are no load here"


def test_a_token_is_let_in_until_it_expires() -> None:
    options = SandboxOptions(targets=10, client_id="us", client_secret="s", token_lifetime=timedelta(milliseconds=300))
    with calling(options) as api:
        headers = _bearer(_token(api, _basic("us", "s")).json()["access_token"])
        assert api.update(headers=headers).status_code == 200
        deadline = monotonic() + 5
        while api.update(headers=headers).status_code == 200:
            assert monotonic() < deadline


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, GRANT, 401),
        (_basic("us", "wrong"), GRANT, 401),
        (_basic("them", "s"), GRANT, 401),
        ({"Authorization": "Basic !"}, GRANT, 401),
        (_bearer("us:s"), GRANT, 401),
        (_basic("us", "s"), {}, 400),
        (_basic("us", "s"), [], 400),
        (_basic("us", "s"), {"grant_type": "password"}, 400),
    ],
)
def test_a_wrong_client_or_grant_gets_no_token(headers: dict[str, str], body: Any, status: int) -> None:
    with calling(SandboxOptions(targets=10, client_id="us", client_secret="s")) as api:
        assert _token(api, headers, body).status_code == status
        assert api.ledger()["token_renewals"] == 0


def test_the_token_endpoint_takes_post_only_and_can_be_faulted() -> None:
    with calling() as api:
        assert api.http.get("/v1/oauth/regionalToken").status_code == 405
        assert api.http.post("/v1/oauth/regionalToken", content=b"{").status_code == 400
        api.script({"kind": "status", "status": 503}, match={"path": "*/oauth/*"})
        assert _token(api, {}).status_code == 503
        assert api.update().status_code == 200


def test_beyond_its_own_limit_it_answers_429_with_a_wait() -> None:
    with calling(SandboxOptions(targets=10, rate_limit="3/hour")) as api:
        answers = [api.update() for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[-1].json()["code"] == 8
        assert 3590 <= int(answers[-1].headers["Retry-After"]) <= 3600
        summary = api.ledger()
        assert (summary["effects"], summary["cooldowns_announced"]) == (3, 2)
        assert api.http.post("/_sandbox/limit", json={"rate_limit": ""}).json() == {"windows": []}
        assert api.update().status_code == 200


def test_the_wait_is_rounded_up_to_whole_seconds() -> None:
    with calling(SandboxOptions(targets=10, rate_limit="1/2 seconds")) as api:
        api.update()
        assert api.update().headers["Retry-After"] == "2"


def test_the_ledger_says_the_most_in_any_window() -> None:
    with calling() as api:
        for _ in range(7):
            api.update()
        most = api.http.get("/_sandbox/ledger?window=60&window=0.000001").json()["most_in"]
        assert most == {"60": 7, "0.000001": 1}
        assert api.sandbox.ledger.most_in(timedelta(minutes=1)) == 7


def test_a_request_without_authorization_uses_up_no_limit() -> None:
    with calling(SandboxOptions(targets=10, token="tea", rate_limit="1/hour")) as api:
        assert [api.update().status_code for _ in range(2)] == [401, 401]
        assert [api.update(headers=_bearer("tea")).status_code for _ in range(2)] == [200, 429]


def test_latency_is_added_to_every_operation() -> None:
    with calling(SandboxOptions(targets=10, latency=timedelta(milliseconds=50))) as api:
        start = monotonic()
        api.get("customers/acme/profiles/support/targets/t-00001")
        assert monotonic() - start >= 0.05
