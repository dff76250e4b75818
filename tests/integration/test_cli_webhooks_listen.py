"""`coachsync webhooks listen` as a process: verifies, refuses, prints each message once, however often it comes."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from standardwebhooks import Webhook

from tests.integration.webhook_rig import SECRET
from worker.clock import utc_now
from worker.webhooks import signing

OTHER = signing.new_secret("v1", lambda count: b"o" * count)
PAIR = signing.new_secret("v1a", lambda count: b"p" * count)
BODY = b'{"type":"target.updated","version":1,"timestamp":"2026-01-31T08:00:00Z","data":{"name":"t-1","target":80}}'


@dataclass
class Listening:
    """The process, and what it has said by its end."""

    process: subprocess.Popen[str]
    port: int
    said: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)

    def post(self, headers: Mapping[str, str | bytes], body: bytes = BODY, method: str = "POST") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            connection.request(method, "/hooks", body, dict(headers))  # type: ignore[arg-type]  # it takes bytes
            return connection.getresponse().status
        finally:
            connection.close()

    def end(self) -> int:
        """Stopped as a person does it."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=90)
        self.said, self.noted = out.splitlines(), err.splitlines()
        return self.process.returncode


def start(*options: str, port: int = 0) -> Listening:
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "webhooks", "listen", "--port", str(port), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.defpath, "PYTHONPATH": os.getcwd()},  # noqa: PTH109 - where the packages are
    )
    assert process.stderr
    first = process.stderr.readline()
    found = re.fullmatch(r"Listening on http://127\.0\.0\.1:(\d+)/\n", first)
    assert found, first + process.stderr.read()
    return Listening(process, int(found[1]))


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    """One for all: it starts slowly. It knows one secret from a file, and one public key."""
    file = tmp_path_factory.mktemp("listen") / "secret"
    file.write_text(f"{SECRET}\n")
    one = start("--secret", f"@{file}", "--secret", signing.shown(PAIR), "--json")
    yield one
    one.process.kill()
    one.process.communicate()


def signed(message_id: str, secret: str = SECRET, at: float = 0.0, body: bytes = BODY) -> dict[str, str | bytes]:
    """By us, ``at`` seconds from now."""
    return dict(signing.headers([secret], message_id, int(utc_now().timestamp() + at), body))


def test_what_the_official_library_signs_is_taken(listening: Listening) -> None:
    now = utc_now()
    signature = Webhook(SECRET).sign("msg_official", now, BODY.decode())
    headers = {"webhook-id": "msg_official", "webhook-timestamp": str(int(now.timestamp()))}
    assert listening.post(headers | {"Webhook-Signature": f"v1,bm9uZQ== {signature}"}) == 204


def test_either_secret_will_do(listening: Listening) -> None:
    assert [listening.post(signed(f"msg_{secret[:4]}", secret)) for secret in (SECRET, PAIR)] == [204, 204]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, BODY),
        (signed("msg_other", OTHER), BODY),
        (signed("msg_changed"), BODY + b" "),
        (signed("msg_old", at=-400), BODY),
        (signed("msg_early", at=40_000), BODY),  # it may be an hour until its turn comes
        (signed("msg_swapped") | {"webhook-id": "msg_2"}, BODY),
        (signed("msg_time") | {"webhook-timestamp": "now"}, BODY),
        (signed("msg_time") | {"webhook-timestamp": "9" * 40}, BODY),
        (signed("msg_none") | {"webhook-signature": ""}, BODY),
        (signed("msg_v1a") | {"webhook-signature": "v1a,%%%"}, BODY),
        (signed("msg_short") | {"webhook-signature": "v1a,AAAA"}, BODY),
        (signed("msg_bytes") | {"webhook-signature": b"v1,\xff\xfe"}, BODY),
        (signed("msg_bytes") | {"webhook-signature": b"v1a,\xff\xfe"}, BODY),
        (signed("msg_id") | {"webhook-id": b"\xff\xfe"}, BODY),
        (signed("msg_digits") | {"webhook-timestamp": "٣".encode()}, BODY),
    ],
    ids=range(15),
)
def test_what_does_not_verify_is_refused(listening: Listening, headers: Mapping[str, str | bytes], body: bytes) -> None:
    assert listening.post(headers, body) == 401


def test_nothing_but_a_post_of_a_reasonable_size_is_taken(listening: Listening) -> None:
    assert listening.post({}, b"", method="GET") == 405
    assert listening.post(signed("msg_big", body=b"x" * 50_000), b"x" * 50_000) == 413


@pytest.mark.parametrize("body", [b"[1]", b"no JSON", b'"\\ud800"', b"\xff"], ids=range(4))
def test_a_body_that_is_no_message_is_taken_where_its_signature_fits(listening: Listening, body: bytes) -> None:
    assert listening.post(signed(f"msg_{body.hex()}", body=body), body) == 204


def test_each_message_is_printed_once_however_often_it_comes_and_what_is_refused_is_noted() -> None:
    one = start("--secret", SECRET, "--json")
    assert [one.post(signed("msg_again")) for _ in range(3)] == [204] * 3
    assert [one.post(signed("msg_other", OTHER)), one.post(signed("msg_2"))] == [401, 204]
    assert one.end() == 0, one.noted
    assert [json.loads(line)["id"] for line in one.said] == ["msg_again", "msg_2"]
    assert json.loads(one.said[0])["data"] == {"name": "t-1", "target": 80}
    assert one.noted == [
        *["msg_again came again"] * 2,
        "refused a message: no signature fits: another secret, or the message was changed on its way",
    ]


def test_people_get_a_line_a_message_which_steers_no_terminal_and_a_port_in_use_is_one_line() -> None:
    one = start("--secret", SECRET)
    body = BODY.replace(b"t-1", b"a\\u001b[2Jb")
    assert one.post(signed("msg_1", body=body), body) == 204
    second = subprocess.run(
        [sys.executable, "-m", "worker.cli", "webhooks", "listen", "--port", str(one.port), "--secret", SECRET],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert second.returncode == 2
    assert re.fullmatch(rf"error: 127\.0\.0\.1:{one.port} cannot be listened on: .*\n", second.stderr), second.stderr
    assert one.end() == 0
    (line,) = one.said
    assert re.fullmatch(r"\d\d:\d\d:\d\d target.updated msg_1 name=a\\x1b\[2Jb target=80", line)
