"""What the client writes on the wire, counted and read at a raw socket."""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qsl, unquote

import pytest

from api_adapter.auth.static import NoAuthentication
from api_adapter.client import CoachingClient
from api_adapter.outcomes import Answered, NotSent, Outcome, Refused, Unauthorized, Unavailable
from api_adapter.rate_limit.permits import Permit
from schemas.coaching import QuotaRequest
from tests.contract.client_rig import KEY, PERMIT, PROFILE, TARGET, TEMPLATE, TOKEN, USECASE, VOID, client_of, write
from tests.contract.raw_server import Act, RawServer, answer, cut, hang_up, raw_server

Ask = Callable[[CoachingClient, Permit], Awaitable[Outcome[object]]]

QUOTA = QuotaRequest(scorecard_template_name=f"{TEMPLATE}@2", usecase_name=USECASE)
CALLS: dict[str, Ask] = {
    "update": lambda client, permit: client.update_target(permit, write(), KEY),
    "create": lambda client, permit: client.create_target(permit, PROFILE, write(), KEY),
    "get": lambda client, permit: client.get_target(permit, TARGET),
    "list": lambda client, permit: client.list_targets(permit, PROFILE),
    "delete": lambda client, permit: client.delete_target(permit, TARGET),
    "quota": lambda client, permit: client.retrieve_quota(permit, QUOTA, KEY),
    "periods": lambda client, permit: client.retrieve_evaluation_periods(permit, TEMPLATE, USECASE),
}
each_call = pytest.mark.parametrize("ask", CALLS.values(), ids=CALLS.keys())


def _asked(ask: Ask, *script: bytes | Act) -> tuple[Outcome[object], RawServer]:
    async def walk() -> tuple[Outcome[object], RawServer]:
        async with raw_server(*script) as server, client_of(server.url + "/") as client:
            return await ask(client, PERMIT), server

    return asyncio.run(walk())


@each_call
def test_each_request_carries_the_trace_that_is_open_when_it_is_sent(ask: Ask) -> None:
    async def walk() -> RawServer:
        trace = {"traceparent": "00-1-2-01"}
        async with raw_server(answer(404)) as server, client_of(server.url, more_headers=lambda: trace) as client:
            await ask(client, PERMIT)
            return server

    assert asyncio.run(walk()).requests[0].headers["traceparent"] == "00-1-2-01"


@pytest.mark.parametrize(
    "text",
    [
        "+",
        "%2B",
        "%",
        "%25",
        "%zz",
        "@",
        "%40",
        " ",
        "a&b=c;d",
        "a/b?c#d",
        "ä€😀",
        "\\",
        "\"'<>{}|^`",
        "~.-_",
        "\u2028",
    ],
)
def test_a_query_value_arrives_once_decoded_as_it_was_asked(text: str) -> None:
    _, server = _asked(
        lambda client, permit: client.update_target(permit, write(criterion_or_chapter_id=text), KEY), answer(400)
    )
    path, _, query = server.requests[0].target.partition("?")
    assert path == f"PATCH /v1/{TARGET}"
    assert dict(parse_qsl(query, keep_blank_values=True, errors="strict")) == {
        "target.scorecardTemplateName": TEMPLATE,
        "target.criterionOrChapterId": text,
        "target.target": "82.5",
        "target.usecaseName": USECASE,
        "target.coachingPlanName": "",
    }
    assert ("+" in text) <= ("%2B" in query), "a bare + would be read as a space"


def test_every_printable_character_of_a_page_token_survives() -> None:
    token = "".join(map(chr, range(0x20, 0x7F)))
    _, server = _asked(lambda client, permit: client.list_targets(permit, PROFILE, token, 7), answer(400))
    path, _, query = server.requests[0].target.partition("?")
    assert path == f"GET /v1/{PROFILE}/targets"
    assert parse_qsl(query, strict_parsing=True) == [("pageSize", "7"), ("pageToken", token)]


def test_the_revision_stands_in_the_path_behind_its_at_sign() -> None:
    _, server = _asked(CALLS["quota"], answer(400))
    assert unquote(server.requests[0].target) == f"POST /v1/{TEMPLATE}@2:retrieveTotalAgentQuota"
    assert "%25" not in server.requests[0].target


@each_call
def test_each_request_says_who_sends_it_and_has_an_id_of_its_own(ask: Ask) -> None:
    outcome, server = _asked(ask, answer(400))
    headers = server.requests[0].headers
    assert re.fullmatch(r"coachsync/\d+\.\d+\.\d+\S* \(\+.*\)", headers["user-agent"])
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["x-request-id"] == outcome.exchange.request_id == "request-1"
    assert headers["accept"] == "application/json"
    assert not {"cookie", "transfer-encoding", "expect"} & set(headers)


@pytest.mark.parametrize(("name", "keyed"), [(name, name in ("update", "create", "quota")) for name in CALLS])
def test_writes_and_quotas_carry_the_key_and_nothing_else_does(name: str, *, keyed: bool) -> None:
    _, server = _asked(CALLS[name], answer(400))
    assert server.requests[0].headers.get("idempotency-key") == (KEY if keyed else None)


def test_an_update_has_no_body_and_no_type_of_one() -> None:
    _, server = _asked(CALLS["update"], answer(400))
    assert server.requests[0].body == b""
    assert "content-type" not in server.requests[0].headers


@pytest.mark.parametrize("name", ["create", "quota", "periods"])
def test_a_body_is_json_and_says_so(name: str) -> None:
    _, server = _asked(CALLS[name], answer(400))
    assert server.requests[0].headers["content-type"] == "application/json"
    assert json.loads(server.requests[0].body)


@each_call
@pytest.mark.parametrize("status", [303, 307, 401, 429, 503])
def test_one_permit_is_one_request_whatever_is_answered(ask: Ask, status: int) -> None:
    _, server = _asked(ask, answer(status, Location="/v1/elsewhere", Retry_After="0"))
    assert len(server.requests) == 1


@each_call
@pytest.mark.parametrize("end", [cut, hang_up])
def test_one_permit_is_one_request_even_on_a_kept_connection_that_the_server_drops(ask: Ask, end: Act) -> None:
    async def walk() -> None:
        async with raw_server(answer(400), end, answer(400)) as server, client_of(server.url) as client:
            await client.list_targets(PERMIT, PROFILE)  # opens the connection
            outcome = await ask(client, PERMIT)
            assert (server.connections, len(server.requests)) == (1, 2)
            assert outcome.exchange.status is None

    asyncio.run(walk())


@each_call
def test_a_void_permit_never_touches_the_network(ask: Ask) -> None:
    async def walk() -> None:
        async with raw_server(answer(200)) as server, client_of(server.url) as client:
            outcome = await ask(client, VOID)
            assert isinstance(outcome, NotSent)
            assert outcome.exchange.status is None
            assert server.connections == 0

    asyncio.run(walk())


def test_many_calls_share_few_connections() -> None:
    async def walk() -> None:
        async with raw_server(answer(400)) as server, client_of(server.url, max_connections=4) as client:
            asked = [client.update_target(PERMIT, write(), KEY) for _ in range(40)]
            assert {type(outcome) for outcome in await asyncio.gather(*asked)} == {Refused}
            assert len(server.requests) == 40
            assert server.connections <= 4

    asyncio.run(walk())


def test_no_cookie_is_kept() -> None:
    async def walk() -> None:
        server_says = answer(400, Set_Cookie="session=1; Path=/")
        async with (
            raw_server(server_says) as server,
            client_of(server.url.replace("127.0.0.1", "localhost")) as client,  # no jar takes an address's cookies
        ):
            for _ in range(2):
                await client.get_target(PERMIT, TARGET)
            assert "cookie" not in server.requests[1].headers

    asyncio.run(walk())


def test_the_environments_proxy_and_netrc_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    (netrc := tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else")
    monkeypatch.setenv("NETRC", str(netrc))
    outcome, server = _asked(CALLS["get"], answer(400))
    assert isinstance(outcome, Refused)
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_the_secret_is_in_no_outcome_and_no_log_even_where_the_remote_echoes_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    body = json.dumps({"message": f"the token {TOKEN} is unknown"}).encode()
    for status in (200, 400, 401, 429, 503):
        outcome, _ = _asked(CALLS["update"], answer(status, body))
        assert "***" in repr(outcome)
        assert TOKEN not in repr(outcome)
    assert TOKEN not in caplog.text


def test_the_secret_of_an_echoing_server_is_in_no_outcome() -> None:
    async def walk() -> None:
        async def echo(writer: asyncio.StreamWriter) -> None:
            writer.write(server.requests[-1].head.encode())
            writer.close()

        async with raw_server(echo) as server, client_of(server.url) as client:
            assert TOKEN not in repr(await client.update_target(PERMIT, write(), KEY))

    asyncio.run(walk())


@pytest.mark.parametrize("url", ["", "example.com", "ftp://example.com", "https://u:p@example.com", "https://x/?a=1"])
def test_a_base_url_that_cannot_be_one_is_refused(url: str) -> None:
    async def walk() -> None:
        with pytest.raises(ValueError, match="base URL") as refused:
            async with client_of(url):
                pass
        assert "u:p" not in str(refused.value)

    asyncio.run(walk())


def test_without_authentication_no_header_is_sent_and_the_remotes_words_stay_whole() -> None:
    async def walk() -> None:
        refusal = answer(400, b'{"message": "no such plan"}')
        async with (
            raw_server(refusal) as server,
            client_of(server.url, authenticator=NoAuthentication()) as client,
        ):
            outcome = await client.get_target(PERMIT, TARGET)
            assert outcome == Refused(outcome.exchange, "HTTP_400", "no such plan")
            assert "authorization" not in server.requests[0].headers

    asyncio.run(walk())


def test_a_static_token_that_is_rejected_is_unauthorized_and_not_renewed() -> None:
    outcome, _ = _asked(CALLS["update"], answer(401, b'{"message": "expired"}'))
    assert outcome == Unauthorized(outcome.exchange, "expired", renewed=False)


def test_the_wait_is_in_the_exchange_whatever_the_status() -> None:
    for status in (200, 429, 502, 503):
        outcome, _ = _asked(CALLS["quota"], answer(status, b"{}", Retry_After="30"))
        assert outcome.exchange.retry_after is not None
        assert outcome.exchange.retry_after.total_seconds() == 30
        assert isinstance(outcome, Answered | Unavailable) or outcome.retry_after == outcome.exchange.retry_after
