"""The receivers of docs/how-to/receive-webhooks.md, as they stand there, take what we send and nothing else."""

import asyncio
import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli_rig import Command, command_on
from tests.services.stores import on_sqlite
from worker.clock import utc_now
from worker.core.delivery import Reply
from worker.webhooks.address import AddressGuard
from worker.webhooks.post import Poster
from worker.webhooks.signing import ID, SIGNATURE, TIMESTAMP, headers, new_secret, shown

pytestmark = on_sqlite

PAGE = (Path(__file__).parents[2] / "docs/how-to/receive-webhooks.md").read_text(encoding="utf-8")
RECEIVER, BY_HAND, ASYMMETRIC = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
OLD, NEW, OTHER = (new_secret("v1", os.urandom) for _ in range(3))
KEY, OTHER_KEY = (new_secret("v1a", os.urandom) for _ in range(2))
BODY = '{"type":"endpoint.test","data":{"who":"Zoë"}}'.encode()
LOOPBACK = AddressGuard((ip_network("127.0.0.0/8"),))
SETTINGS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]


def now() -> int:
    """The receivers look at the clock."""
    return int(utc_now().timestamp())


@dataclass(frozen=True)
class Receiver:
    """``receiver.py`` of the page, running in a folder of its own."""

    folder: Path
    url: str

    def post(self, signed: Mapping[str, str], body: bytes = BODY) -> int | None:
        async def send() -> Reply:
            poster = Poster(LOOPBACK)
            try:
                return await poster.post(self.url, signed, body, utc_now())
            finally:
                await poster.aclose()

        return asyncio.run(send()).status

    @property
    def inbox(self) -> list[tuple[str, bytes]]:
        with closing(sqlite3.connect(self.folder / "inbox.db")) as inbox:
            return list(inbox.execute("SELECT id, body FROM inbox ORDER BY rowid"))


def running(folder: Path, secret: str) -> Iterator[Receiver]:
    (folder / "receiver.py").write_text(RECEIVER, encoding="utf-8")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    environ = os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port)}  # noqa: TID251 - a child's environment
    with subprocess.Popen(
        [sys.executable, "receiver.py"], cwd=folder, env=environ, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(process, port)
            yield Receiver(folder, f"http://127.0.0.1:{port}/hooks")
        finally:
            process.kill()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(200):
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"receiver.py has ended: {process.returncode}")
    pytest.fail("receiver.py does not listen")


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    yield from running(tmp_path_factory.mktemp("receiver"), NEW)


def test_what_is_signed_is_taken_once_however_often_it_comes(receiver: Receiver) -> None:
    assert receiver.post(headers([NEW], "msg_a", now(), BODY)) == 204
    assert receiver.post(headers([NEW], "msg_a", now() - 200, BODY)) == 204
    assert receiver.post(headers([NEW, OLD], "msg_b", now(), BODY)) == 204
    assert receiver.post(headers([OLD, KEY, NEW], "msg_c", now(), BODY)) == 204
    assert receiver.inbox == [("msg_a", BODY), ("msg_b", BODY), ("msg_c", BODY)]


Change = Callable[[dict[str, str]], dict[str, str]]
CHANGES: list[tuple[str, Change]] = [
    ("another secret", lambda _: headers([OTHER], "msg_x", now(), BODY)),
    ("old", lambda _: headers([NEW], "msg_x", now() - 400, BODY)),
    ("ahead", lambda _: headers([NEW], "msg_x", now() + 400, BODY)),
    ("another body", lambda _: headers([NEW], "msg_x", now(), BODY + b" ")),
    ("another id", lambda given: given | {ID: "msg_y"}),
    ("another time", lambda given: given | {TIMESTAMP: str(int(given[TIMESTAMP]) + 1)}),
    ("no time", lambda given: given | {TIMESTAMP: "now"}),
    ("no base64", lambda given: given | {SIGNATURE: "v1,!"}),
    ("no kind", lambda given: given | {SIGNATURE: "signed"}),
    ("no signature", lambda given: {name: value for name, value in given.items() if name != SIGNATURE}),
]


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
def test_what_is_not_to_be_trusted_is_refused_and_not_kept(receiver: Receiver, change: Change) -> None:
    before = receiver.inbox
    assert receiver.post(change(headers([NEW], "msg_x", now(), BODY))) == 401
    assert receiver.inbox == before


def test_what_is_longer_than_any_message_is_not_read(receiver: Receiver) -> None:
    body = b"x" * 20_001
    assert receiver.post(headers([NEW], "msg_long", now(), body), body) == 413


def _defined(sample: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(sample, names)  # noqa: S102 - the page's own code
    return names


def test_by_hand_the_same_messages_are_trusted() -> None:
    verify = _defined(BY_HAND)["verify"]
    for secrets in ([NEW], [NEW, OLD], [OLD, NEW], [KEY, NEW]):
        assert verify(NEW, headers(secrets, "msg_1", now(), BODY), BODY)


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
def test_by_hand_the_same_messages_are_not(change: Change) -> None:
    verify = _defined(BY_HAND)["verify"]
    assert not verify(NEW, change(headers([NEW], "msg_x", now(), BODY)), BODY)
    assert not verify(NEW, {}, BODY)


def test_a_public_key_verifies_what_the_private_one_has_signed() -> None:
    fits = _defined(ASYMMETRIC)["fits"]
    signed = headers([OTHER, OTHER_KEY, KEY], "msg_1", now(), BODY)
    assert fits(shown(KEY), signed, BODY)
    assert not fits(shown(KEY), signed, BODY + b" ")
    assert not fits(shown(new_secret("v1a", os.urandom)), signed, BODY)
    assert not fits(shown(KEY), signed | {SIGNATURE: "v1a,! v1a, v1a"}, BODY)


def test_the_command_tries_the_receiver_through_a_rotation(store: Any, tmp_path: Path) -> None:
    """As the page has it under "Try it" and "A new secret"."""
    command = _command(store, tmp_path)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    made = command.json("webhooks", "endpoints", "create", f"http://127.0.0.1:{port}/hooks")
    endpoint, first = made["endpoint"], made["secret"]
    second = command.json("webhooks", "endpoints", "rotate", endpoint)["secret"]
    _try(command, endpoint, tmp_path, {first: 204, second: 204})
    third = command.json("webhooks", "endpoints", "rotate", endpoint, "--overlap", "0s")["secret"]
    _try(command, endpoint, tmp_path, {first: 401, third: 204})


def _try(command: Command, endpoint: str, folder: Path, answers: Mapping[str, int]) -> None:
    """What the receiver answers that has each of these secrets."""
    for secret, status in answers.items():
        for receiver in running(folder, secret):
            command("webhooks", "endpoints", "update", endpoint, "--url", receiver.url)
            tried = command.json("webhooks", "endpoints", "test", endpoint, code=status // 400)
            assert (tried["status"], tried["taken"]) == (status, status == 204)


def _command(store: Any, folder: Path) -> Command:
    config = folder / "coachsync.toml"
    config.write_text(SETTINGS)
    command = command_on(store, folder)
    return Command({**command.environ, "COACHSYNC_CONFIG": str(config)})
