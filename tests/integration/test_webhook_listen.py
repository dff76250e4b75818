"""The reference receiver: what it verifies, takes once and refuses, and what the command prints of it."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from aiohttp import web

from worker.cli.output import Output
from worker.cli.webhook_listen import _print
from worker.webhooks.listener import Listener, Received
from worker.webhooks.signing import SIGNATURE, Verifier, headers, new_secret, shown

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC).timestamp()
OLD, NEW = (new_secret("v1", os.urandom) for _ in range(2))
KEY = new_secret("v1a", os.urandom)
BODY = b'{"type":"endpoint.test","data":{"a":1}}'
SIGNED = headers([NEW, KEY], "msg_1", int(NOW), BODY)

Request = tuple[dict[str, str], bytes]


def answers(requests: Sequence[Request], *secrets: str) -> tuple[list[int], list[Received], list[str]]:
    """The statuses, what was handed on, and why the others were refused."""
    received: list[Received] = []
    refused: list[str] = []

    async def run() -> list[int]:
        verifiers = [Verifier(secret) for secret in secrets]
        listener = Listener(verifiers, lambda: NOW, received.append, refused.append)
        runner = web.AppRunner(listener.app(), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return [await _send(runner.addresses[0][1], request) for request in requests]
        finally:
            await runner.cleanup()

    return asyncio.run(run()), received, refused


async def _send(port: int, request: Request) -> int:
    """By hand: a client would refuse headers that are no UTF-8."""
    given, body = request
    lines = [f"{name}: {value}" for name, value in given.items()]
    head = "\r\n".join(["POST /any/path HTTP/1.1", "host: x", f"content-length: {len(body)}", *lines, "", ""])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode("utf-8", "surrogateescape") + body)
    status = (await reader.readline()).split()[1]
    writer.close()
    return int(status)


def test_a_message_is_taken_and_when_it_comes_again_it_is_known() -> None:
    again = headers([NEW], "msg_1", int(NOW) - 60, BODY)
    statuses, received, refused = answers([(SIGNED, BODY), (again, BODY)], NEW)
    assert statuses == [204, 204]
    assert received == [Received("msg_1", BODY, again=False), Received("msg_1", BODY, again=True)]
    assert refused == []


@pytest.mark.parametrize("secrets", [(OLD, NEW), (NEW, OLD), (OLD, shown(KEY))])
def test_one_of_several_secrets_is_enough(secrets: tuple[str, ...]) -> None:
    assert answers([(SIGNED, BODY)], *secrets)[0] == [204]


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (SIGNED, BODY + b" "),
        (SIGNED | {SIGNATURE: "v1,\udcff v1a,\udcff"}, BODY),
        (SIGNED | {"webhook-id": "msg_\udcff"}, BODY),
        (SIGNED | {SIGNATURE: ""}, BODY),
        ({}, BODY),
        ({}, b""),
    ],
)
@pytest.mark.parametrize("secret", [NEW, shown(KEY)], ids=["v1", "v1a"])
def test_what_is_not_verified_is_answered_with_401_and_not_handed_on(
    secret: str, given: dict[str, str], body: bytes
) -> None:
    statuses, received, refused = answers([(given, body), (SIGNED, BODY)], secret)
    assert statuses == [401, 204]
    assert [one.id for one in received] == ["msg_1"]
    assert len(refused) == 1


def test_a_body_of_more_than_twice_the_longest_message_is_not_read() -> None:
    assert answers([(SIGNED, b"x" * 40_001)], NEW)[0] == [413]


@pytest.mark.parametrize(
    ("body", "line", "told"),
    [
        (BODY, '{"id": "msg_1", "type": "endpoint.test", "data": {"a": 1}}', "endpoint.test msg_1 a=1"),
        (b"[1, 2]", '{"id": "msg_1", "type": "?", "data": [1, 2]}', "? msg_1 [1, 2]"),
        (b"\xff no JSON", '{"id": "msg_1", "type": "?", "data": "\ufffd no JSON"}', "? msg_1 \ufffd no JSON"),
        (b'{"data": "\\u001b[2J"}', '{"id": "msg_1", "data": "\\u001b[2J"}', "None msg_1 \\x1b[2J"),
    ],
)
def test_whatever_was_verified_is_printed_in_one_line(
    capsys: pytest.CaptureFixture[str], body: bytes, line: str, told: str
) -> None:
    received = Received("msg_1", body, again=False)
    _print(received, Output(as_json=True))
    assert capsys.readouterr().out == f"{line}\n"
    _print(received, Output())
    assert capsys.readouterr().out.rstrip("\n").partition(" ")[2] == told


def test_what_came_again_is_not_printed_as_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    _print(Received("msg_1", BODY, again=True), Output(as_json=True))
    shown_then = capsys.readouterr()
    assert shown_then.out == ""
    assert "msg_1 came again" in shown_then.err
